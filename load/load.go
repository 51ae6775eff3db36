// Package load delivers events: to Segment's tracking API or into a file.
//
//	[]*transform.Event ──▶ check ──▶ batches ──▶ attempts ──▶ an Outcome for each event
//
// A destination says of every event whether it was accepted, rejected or not
// done. What was accepted before a failure is data: a [Delivery] is complete
// also when it comes with an error, and whoever keeps the checkpoint records it
// before looking at the error.
//
// To Segment, a batch is one attempt of one analytics-go client; waiting,
// pacing and trying again is done here, outside of the client, because Segment
// moves every event by the difference between its own clock and the moment at
// which the client wrote the request. A batch that was sent twice carries the
// same message ids, which Segment removes for about a day.
package load

import (
	"encoding/json"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// The reasons for which events are rejected while sending, besides
// [extract.BadTimestamp], [transform.NoIdentity] and [transform.TooLarge]. They are
// part of stored state.
const (
	RefusedBySegment extract.Reason = "refused_by_segment" // Segment answered 400 or 413 to the event alone
	InvalidEvent     extract.Reason = "invalid_event"      // no known name, no id, or not encoded
)

// Outcome is what became of an event. The zero Outcome is an event that is not
// done: it was not sent, or nobody knows whether it arrived, and it is to be
// sent again with the same id.
type Outcome struct {
	Accepted bool
	Reject   *extract.Reject // not nil: the event cannot be delivered
}

// Done reports whether the event is accepted or rejected.
func (o Outcome) Done() bool { return o.Accepted || o.Reject != nil }

// Delivery is what a call of Send achieved, with or without an error.
type Delivery struct {
	// Outcomes has one entry for each event, in their order.
	Outcomes []Outcome
	// State is what the destination needs to go on after a restart; the
	// checkpoint that records the outcomes keeps it too. Nil: nothing.
	State json.RawMessage
}

// item is an event and the place for its outcome.
type item struct {
	event   *transform.Event
	outcome *Outcome
}

func (it item) reject(reason extract.Reason, detail string) {
	it.outcome.Reject = &extract.Reject{
		Stage:          extract.StageSend,
		Reason:         reason,
		Locator:        it.event.ID.String(),
		ConversationID: it.event.ConversationID,
		MessageID:      it.event.MessageID,
		Detail:         detail,
	}
}

// allDone reports whether every event has its outcome.
func allDone(outcomes []Outcome) bool {
	for i := range outcomes {
		if !outcomes[i].Done() {
			return false
		}
	}
	return true
}
