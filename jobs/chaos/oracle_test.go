package chaos

import (
	"slices"
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// oracle knows which events must have been accepted. What a conversation's rows
// become it takes from package transform, which has tests of its own; what is
// delivered when, and what of it stays, is its own account, kept without a
// database, without pages and without being interrupted.
type oracle struct {
	builder  *transform.Builder
	rows     []row                   // of all phases
	started  map[string]extract.Time // the start that was delivered, by chat
	sent     map[string]eventNames   // what was delivered, by chat
	expected map[string][]byte       // every event, by its id, as it was delivered
	order    map[string][]string     // the ids of each chat's events
	rejected map[string]bool         // chats that are held back
	fresh    map[string][]string     // the ids that the last phase added, by chat
	readRows int                     // rows that a pass over everything reads
}

// eventNames name events within a conversation.
type eventNames map[uint64]bool

func newOracle(t *testing.T, name, label string) *oracle {
	t.Helper()
	o := &oracle{
		started: make(map[string]extract.Time), sent: make(map[string]eventNames),
		expected: make(map[string][]byte), order: make(map[string][]string), rejected: make(map[string]bool),
	}
	var err error
	if o.builder, err = transform.NewBuilder(transform.Options{Namespace: name, Label: label, HoldRejected: true}); err != nil {
		t.Fatal(err)
	}
	return o
}

// phase adds rows to the source and says that a run has come to its end.
func (o *oracle) phase(rows []row) {
	o.rows = append(o.rows, rows...)
	o.fresh = make(map[string][]string)
	o.rejected = make(map[string]bool)
	for chat, transcript := range o.transcripts() {
		o.deliver(chat, transcript)
	}
}

// deliver accounts for what of a chat was not delivered before.
func (o *oracle) deliver(chat string, t *extract.Transcript) {
	tally := transform.NewTally()
	c := o.builder.Build(t, transform.Known{Start: o.started[chat], Horizon: extract.TimeOf(time.Now())}, &tally)
	if c.Rejected != "" {
		o.rejected[chat] = true
		return
	}
	if o.sent[chat] == nil {
		o.sent[chat] = make(eventNames)
	}
	begun := o.started[chat] != 0
	for i := range c.Events {
		e := &c.Events[i]
		if o.sent[chat][e.Key] || begun && e.Name == transform.Started {
			continue
		}
		if e.Name == transform.Started {
			o.started[chat] = c.Start
		}
		id := e.ID.String()
		o.sent[chat][e.Key] = true
		o.expected[id] = slices.Clone(e.JSON)
		o.order[chat] = append(o.order[chat], id)
		o.fresh[chat] = append(o.fresh[chat], id)
	}
}

// refuse says that Segment refuses an event. It returns its content.
func (o *oracle) refuse(chat, id string) []byte {
	content := o.expected[id]
	delete(o.expected, id)
	o.order[chat] = slices.DeleteFunc(o.order[chat], func(other string) bool { return other == id })
	o.fresh[chat] = slices.DeleteFunc(o.fresh[chat], func(other string) bool { return other == id })
	o.rejected[chat] = true
	return content
}

// admit says that Segment accepts it after all.
func (o *oracle) admit(chat, id string, content []byte) {
	o.expected[id] = content
	o.order[chat] = append(o.order[chat], id)
	delete(o.rejected, chat)
}

// transcripts are the chats of the source as it is now.
func (o *oracle) transcripts() map[string]*extract.Transcript {
	chats := make(map[string]*extract.Transcript)
	rows := latest(o.rows)
	o.readRows = len(rows)
	for _, r := range rows {
		t := chats[r.Chat]
		if t == nil {
			t = &extract.Transcript{ConversationID: r.Chat}
			chats[r.Chat] = t
		}
		if r.Unreadable {
			t.Rejects = append(t.Rejects, extract.Reject{Stage: extract.StageRead, Set: extract.SetMessages, ConversationID: r.Chat})
			continue
		}
		t.Messages = append(t.Messages, r.message())
	}
	return chats
}

// message is the row as the job's mapping is meant to read it.
func (r *row) message() extract.Message {
	role, _ := extract.ParseRole(r.Role)
	kind, _ := extract.ParseKind(r.Kind)
	return extract.Message{
		ConversationID: r.Chat, MessageID: r.ID, SentAt: extract.TimeOf(r.SentAt), ChangedAt: extract.TimeOf(r.changedAt()),
		Role: role, Kind: kind, Author: extract.Person{ID: r.Author, Name: r.AuthorName}, Body: r.Body,
		UserID: r.Contact, AnonymousID: r.Visitor, Sequence: extract.Sequence{Int: int64(r.Seq)}, Deleted: r.Deleted,
	}
}

// changedAt is when the version of the row arrived, in files.
func (r *row) changedAt() time.Time { return noon.AddDate(0, 1, r.Version) }
