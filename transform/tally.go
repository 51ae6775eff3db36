package transform

import (
	"maps"
	"strings"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Outcome is what became of a row or of an event. Every row that was read has
// exactly one, and so has every event derived from them. Outcomes are part of
// stored state and never change their spelling.
type Outcome string

// The outcomes of rows. Those that end in a colon are followed by a reason.
const (
	Caused     Outcome = "event"      // it caused an event
	Informs    Outcome = "informs"    // it caused none but says who or when
	Duplicate  Outcome = "duplicate"  // another version of it counts
	Filtered   Outcome = "filtered"   // left out by the job's where
	Suppressed Outcome = "suppressed" // of a customer of whom nothing may be sent
	Waiting    Outcome = "waiting"    // its event, or the event itself, is to be sent later
	Ignored    Outcome = "ignored:"
	Rejected   Outcome = "rejected:"
)

// The outcomes of events beside Waiting and Rejected.
const (
	Accepted  Outcome = "accepted"  // delivered by this run
	Delivered Outcome = "delivered" // delivered by an earlier run
)

// The reasons for which conversations and events are rejected when rebuilt.
const (
	Held       extract.Reason = "held"        // another row of the conversation cannot be read
	NoIdentity extract.Reason = "no_identity" // nobody says whose conversation it is
	TooLarge   extract.Reason = "too_large"   // the event is too large even without a body
)

// Tally counts rows and events by their outcome.
type Tally struct {
	Rows          map[Outcome]int
	Events        map[Outcome]int
	Conversations int
	// StartedLate counts conversations whose delivered start is not their first
	// customer message any more.
	StartedLate int
}

// ignored is the outcome of a row that is not looked at.
func ignored(why string) Outcome {
	switch why {
	case "note":
		return Ignored + "note"
	case "system":
		return Ignored + "system"
	}
	return Ignored + Outcome(why)
}

// NewTally returns a Tally of nothing.
func NewTally() Tally {
	return Tally{Rows: make(map[Outcome]int), Events: make(map[Outcome]int)}
}

// add counts n rows.
func (t *Tally) add(o Outcome, n int) {
	if n > 0 {
		t.Rows[o] += n
	}
}

// Add adds the counts of o to t.
func (t *Tally) Add(o Tally) {
	for k, n := range o.Rows {
		t.Rows[k] += n
	}
	for k, n := range o.Events {
		t.Events[k] += n
	}
	t.Conversations += o.Conversations
	t.StartedLate += o.StartedLate
}

// Clone returns a copy of t that shares nothing with it.
func (t *Tally) Clone() Tally {
	c := *t
	c.Rows, c.Events = maps.Clone(t.Rows), maps.Clone(t.Events)
	return c
}

// RowCount is the number of rows that were read.
func (t *Tally) RowCount() int { return sum(t.Rows) }

// EventCount is the number of events that were derived.
func (t *Tally) EventCount() int { return sum(t.Events) }

// RejectedByReason is the number of rows and events that were rejected, by reason.
func (t *Tally) RejectedByReason() map[string]int {
	reasons := make(map[string]int)
	for _, outcomes := range []map[Outcome]int{t.Rows, t.Events} {
		for outcome, n := range outcomes {
			if reason, ok := strings.CutPrefix(string(outcome), string(Rejected)); ok {
				reasons[reason] += n
			}
		}
	}
	return reasons
}

func sum(m map[Outcome]int) int {
	n := 0
	for _, k := range m {
		n += k
	}
	return n
}
