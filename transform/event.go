package transform

import (
	"encoding/json"
	"slices"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Name is one of the four events of Segment's Live Chat spec.
type Name uint8

// The events, with the exact names of the spec.
const (
	Started  Name = iota + 1 // Live Chat Conversation Started
	Sent                     // Live Chat Message Sent: by the customer
	Received                 // Live Chat Message Received: by the customer
	Ended                    // Live Chat Conversation Ended
)

// Names are all events in the order in which a conversation has them.
var Names = [...]Name{Started, Sent, Received, Ended}

var eventNames = [...]string{
	"",
	"Live Chat Conversation Started",
	"Live Chat Message Sent",
	"Live Chat Message Received",
	"Live Chat Conversation Ended",
}

// String returns the name as the spec has it.
func (n Name) String() string { return eventNames[n] }

// Agent is what an event says of an agent. Empty fields are left out.
type Agent = extract.Person

// Property is a property of an event beyond those of the spec.
type Property struct {
	Key   string
	Value json.RawMessage // one JSON value, never null
}

// Event is one Segment track call. Its strings are valid UTF-8 without NUL.
type Event struct {
	Name           Name
	ID             ID
	Timestamp      extract.Time // whole milliseconds
	UserID         string       // at least one of UserID and AnonymousID is set
	AnonymousID    string
	ConversationID string
	MessageID      string
	Agent          Agent
	Duration       int64 // whole seconds since the conversation's start
	Body           string
	Properties     []Property // beyond the spec's; sorted by key

	// Settings are the job's context and integrations, shared by all events.
	Settings *Settings

	// JSON is the event encoded as analytics-go encodes it.
	JSON []byte

	line []byte // JSON and a line end; beyond it, up to its capacity, may be the next event's

	// Key names the event within its conversation: the same for the same event
	// name and message id, in whatever namespace.
	Key uint64
	// Row is the index in the conversation's order of the row that the event
	// is about, or of the row it comes after if it has none.
	Row int
}

// Detached returns a copy of the event whose JSON is not in its arena.
func (e *Event) Detached() *Event {
	d := *e
	d.setLine(slices.Concat(e.JSON, []byte{'\n'}))
	return &d
}

func (e *Event) setLine(line []byte) {
	end := len(line) - 1
	e.line, e.JSON = line, line[:end:end]
}

// AppendLine appends the event's JSON, with a line end, to pieces of text: to the
// last one if that is what it lies behind, as events that are made one after the
// other do.
func (e *Event) AppendLine(pieces [][]byte) [][]byte {
	if e.line == nil { // it was not made in an arena
		e = e.Detached()
	}
	line := e.line
	if last := len(pieces) - 1; last >= 0 {
		p := pieces[last]
		if end := len(p); cap(p)-end >= len(line) && &p[:end+1][end] == &line[0] {
			pieces[last] = p[:end+len(line)]
			return pieces
		}
	}
	return append(pieces, line)
}
