package load

import (
	"fmt"
	"slices"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

var earliest = extract.TimeOf(time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC))

// checked returns the events that can be sent, and rejects the others. Segment
// answers 200 to most of what it drops, so that everything it is known to drop
// is found here. They are put into the memory of room if that is enough.
func checked(events []*transform.Event, outcomes []Outcome, room batch) batch {
	latest := extract.TimeOf(time.Now().Add(24 * time.Hour))
	good := slices.Grow(room[:0], len(events))
	for i, e := range events {
		it := item{event: e, outcome: &outcomes[i]}
		if reason, detail := fault(e, latest); reason != "" {
			it.reject(reason, detail)
			continue
		}
		good = append(good, it)
	}
	return good
}

// fault returns why e cannot be sent, or "". An id needs no further look: it
// always has 36 characters, of the 100 that Segment takes.
func fault(e *transform.Event, latest extract.Time) (reason extract.Reason, detail string) {
	switch {
	case e.Name < transform.Started || e.Name > transform.Ended:
		return InvalidEvent, fmt.Sprintf("event name %d is none of the Live Chat spec", e.Name)
	case e.ID == transform.ID{}:
		return InvalidEvent, "the event has no id"
	case len(e.JSON) == 0:
		return InvalidEvent, "the event is not encoded"
	case e.UserID == "" && e.AnonymousID == "":
		return transform.NoIdentity, "neither a user id nor an anonymous id"
	case e.Timestamp < earliest || e.Timestamp > latest:
		return extract.BadTimestamp, fmt.Sprintf("timestamp %q is before 1990 or more than a day ahead", e.Timestamp)
	case len(e.JSON) > transform.MaxEventBytes:
		return transform.TooLarge, fmt.Sprintf("%d bytes encoded, of at most %d", len(e.JSON), transform.MaxEventBytes)
	}
	return "", ""
}
