package load

import "github.com/chatbackfill/chatbackfill/transform"

// Requests returns how many requests it takes to send the events to Segment,
// if none has to be repeated, and how many bytes they have.
func Requests(events []*transform.Event) (requests, bytes int) {
	items := make(batch, len(events))
	for i, e := range events {
		items[i].event = e
		bytes += len(e.JSON) + 1
	}
	requests = len(items.split(maxBatchEvents))
	return requests, bytes + requests*envelopeBytes
}
