// Package extract reads chat transcripts: the rows of whole conversations, as
// Postgres or Parquet has them.
//
// A source row is mapped to a [Message]; the messages of one conversation, with
// what a row of conversations may say of it and with the rows that could not be
// read, are a [Transcript]. Sources yield transcripts in the order of their
// [Position], so that a run which was interrupted goes on after the last one
// that was delivered. Rows inside a transcript come in no particular order and
// may repeat: putting them in order is the business of package transform.
//
// The package knows nothing of Segment and nothing of events.
package extract

import (
	"fmt"
	"time"
)

// Role says who wrote a row.
type Role uint8

// The roles a row's author can have. The zero Role is none of them.
const (
	Customer Role = iota + 1
	Agent
	Bot
	System
)

var roleNames = [...]string{"", "customer", "agent", "bot", "system"}

// String returns the role as job files spell it.
func (r Role) String() string { return roleNames[r] }

// ParseRole is the inverse of [Role.String].
func ParseRole(s string) (Role, bool) {
	for i, name := range roleNames {
		if i > 0 && s == name {
			return Role(i), true
		}
	}
	return 0, false
}

// RoleNames are all roles as job files spell them.
func RoleNames() []string { return roleNames[1:] }

// Kind says what a row records.
type Kind uint8

// The kinds of row. The zero Kind is KindMessage, the default of a row that
// says nothing of its kind.
const (
	KindMessage Kind = iota
	KindEnd
	KindAssign
	KindJoin
	KindLeave
	KindNote
	KindIgnore
)

var kindNames = [...]string{"message", "end", "assign", "join", "leave", "note", "ignore"}

// String returns the kind as job files spell it.
func (k Kind) String() string { return kindNames[k] }

// ParseKind is the inverse of [Kind.String].
func ParseKind(s string) (Kind, bool) {
	for i, name := range kindNames {
		if s == name {
			return Kind(i), true
		}
	}
	return 0, false
}

// KindNames are all kinds as job files spell them.
func KindNames() []string { return kindNames[:] }

// Ignored returns why a row of this kind and role is not looked at any further,
// or "" when it is. A row that is ignored may lack anything, a time for example.
func Ignored(k Kind, r Role) string {
	switch {
	case k == KindNote || k == KindLeave || k == KindIgnore:
		return k.String()
	case k == KindMessage && r == System:
		return "system"
	}
	return ""
}

// Time is a point in time in nanoseconds since the Unix epoch. Zero is absent.
type Time int64

// TimeOf converts t. A time outside of the years 1678 to 2262 becomes the
// nearest one inside.
func TimeOf(t time.Time) Time {
	switch {
	case t.Year() < 1678:
		return Time(time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	case t.Year() > 2261:
		return Time(time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	}
	return Time(t.UnixNano())
}

// Time returns t in UTC.
func (t Time) Time() time.Time { return time.Unix(0, int64(t)).UTC() }

// Add returns t moved by d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns t - u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Earliest returns the earlier of two times of which zero is never.
func Earliest(t, u Time) Time {
	if t == 0 || u != 0 && u < t {
		return u
	}
	return t
}

// String returns t in RFC 3339 with as many fraction digits as it needs.
func (t Time) String() string {
	if t == 0 {
		return ""
	}
	return t.Time().Format(time.RFC3339Nano)
}

// Sequence breaks ties between rows of the same time. It is a number of any
// size a source has; Frac lies in [0, 1). The zero value is 0, or absent.
type Sequence struct {
	Int  int64
	Frac float64
}

// Compare returns -1, 0 or +1.
func (s Sequence) Compare(o Sequence) int {
	switch {
	case s.Int < o.Int || s.Int == o.Int && s.Frac < o.Frac:
		return -1
	case s == o:
		return 0
	}
	return 1
}

// Person is somebody who takes part in a conversation. Empty fields are unknown.
type Person struct {
	ID, Name, Username string
}

// Known reports whether p says who it is.
func (p Person) Known() bool { return p.ID != "" || p.Name != "" || p.Username != "" }

// Message is one source row. Strings are the source's own bytes; ids are text
// (integers as plain decimals, UUIDs in canonical form, other binary as
// lower-case hex). Absent fields are zero.
//
// Of a row that is ignored (see [Ignored]) only ConversationID, Kind and Role
// need to be set.
type Message struct {
	ConversationID string
	MessageID      string // empty: the source has none
	SentAt         Time
	Role           Role
	Kind           Kind
	Deleted        bool

	// Origin tells the file or query of the row apart from others. It only
	// matters to rows without an id: equal rows of one origin are different
	// messages, equal rows of two origins are the same one.
	Origin uint32

	UserID      string
	AnonymousID string
	Author      Person
	Body        string
	Agent       Person // whom an assign or join row is about
	ChangedAt   Time
	Sequence    Sequence

	// Extra holds the values of the job's extra columns, in the order of the
	// mapping's extra names, each a JSON text; "" is absent.
	Extra []string
}

// Conversation is what a row of the conversations set says of a conversation.
type Conversation struct {
	ConversationID string
	ChangedAt      Time
	UserID         string
	AnonymousID    string
	Assignee       Person
	EndedAt        Time
	EndedBy        string // an agent's id
}

// DirectoryAgent is a row of the directory of agents.
type DirectoryAgent struct {
	Person
	ChangedAt Time
}

// Transcript is everything the source has of one conversation.
type Transcript struct {
	// ConversationID is empty for rows that belong to no conversation because
	// their id is missing or bad. Such a transcript has ignored messages and
	// rejects only.
	ConversationID string
	Messages       []Message
	Conversations  []Conversation
	Rejects        []Reject // rows that could not be read
	Filtered       int      // rows left out by a where clause

	// Since, if it is set, is the time from which on all rows were read: files
	// that only have older ones were left out.
	Since Time

	// Ahead, if it is set, is the earliest time of rows that are left for a pass
	// whose bound is later, although nothing may have changed by then.
	Ahead Time
}

// Refuse rejects a transcript as a whole: one reject stands for all of its
// messages.
func (t *Transcript) Refuse(reason Reason, detail string) {
	if len(t.Messages) == 0 {
		return
	}
	t.Rejects = append(t.Rejects, Reject{
		Stage: StageRead, Reason: reason, Set: SetMessages, Locator: locateConversation(SetMessages, t.ConversationID),
		ConversationID: t.ConversationID, Detail: detail, Rows: len(t.Messages),
	})
	t.Messages, t.Conversations = nil, nil
}

// Rows is the number of message rows that the transcript was made of, those of
// Filtered included.
func (t *Transcript) Rows() int {
	n := len(t.Messages) + t.Filtered
	for i := range t.Rejects {
		n += t.Rejects[i].messageRows()
	}
	return n
}

// Position is a point in the order in which a source yields its transcripts.
// It is opaque to all but the source that made it. The empty Position is the
// start.
type Position string

// Stage is where in the program a row or an event was rejected.
type Stage string

// The stages.
const (
	StageRead    Stage = "read"
	StageRebuild Stage = "rebuild"
	StageSend    Stage = "send"
)

// Reason names why a row, a conversation or an event was rejected. It is part
// of stored state and never changes its spelling.
type Reason string

// The reasons for which rows and conversations are rejected while reading and
// rebuilding.
const (
	BadID        Reason = "bad_id"        // an id is missing, is no whole number, or contains 0x1F
	BadTimestamp Reason = "bad_timestamp" // a time is missing, infinite, implausible or no time at all
	BadValue     Reason = "bad_value"     // a value has a type its field cannot take
	UnknownRole  Reason = "unknown_role"  // a role without a mapping
	UnknownKind  Reason = "unknown_kind"  // a kind without a mapping
	Incomplete   Reason = "incomplete"    // the conversation reaches back beyond lookback
	TooMuch      Reason = "too_much"      // the conversation is larger than memory allows
)

// Reject is a row or an event that cannot be delivered, with its reason.
type Reject struct {
	Stage          Stage
	Reason         Reason
	Set            string // messages, conversations, agents: what the row belongs to; empty for events
	Locator        string // table and key, or file and row; or an event's messageId
	ConversationID string
	MessageID      string
	Detail         string // for a person: field and value; never a body
	Payload        string // the row as JSON; only when the job keeps payloads
	Rows           int    // how many rows it stands for; 0 means 1
}

// RowCount is the number of rows that the reject stands for.
func (r *Reject) RowCount() int { return max(r.Rows, 1) }

// messageRows is how many rows of messages the reject stands for.
func (r *Reject) messageRows() int {
	if r.Set != SetMessages {
		return 0
	}
	return r.RowCount()
}

// Error makes a Reject usable where an error is wanted.
func (r *Reject) Error() string {
	return fmt.Sprintf("%s: %s: %s", r.Locator, r.Reason, r.Detail)
}
