package load

import "github.com/chatbackfill/chatbackfill/transform"

// Forecast is what it takes to send events to Segment, if nothing has to be
// repeated.
type Forecast struct {
	Rate     float64 // events a second; 0 is unlimited
	Requests int
	Bytes    int
}

// Add counts the events of another call of [Segment.Send].
func (f *Forecast) Add(events []*transform.Event) {
	all := make(batch, len(events))
	for i, e := range events {
		all[i].event = e
		f.Bytes += len(e.JSON) + 1
	}
	batches := 0
	if f.Requests == 0 && len(all) > 0 { // the first event goes alone
		all, batches = all[1:], 1
	}
	batches += len(all.split(batchEvents(f.Rate)))
	f.Requests += batches
	f.Bytes += batches * envelopeBytes
}
