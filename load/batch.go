package load

// Segment takes up to 500,000 bytes and 2,500 events a request. The margin is
// for whatever it may count differently.
const (
	maxBatchBytes  = 490_000
	maxBatchEvents = 1_000

	// envelopeBytes is more than what analytics-go writes around the events: an
	// id, the time of sending and its own name.
	envelopeBytes = 256
)

// batch is what one request carries.
type batch []item

// accept records that Segment took all of b.
func (b batch) accept() {
	for _, it := range b {
		it.outcome.Accepted = true
	}
}

// split cuts b into batches of at most maxEvents events and maxBatchBytes bytes.
func (b batch) split(maxEvents int) []batch {
	var batches []batch
	start, size := 0, envelopeBytes
	for i, it := range b {
		n := len(it.event.JSON) + 1 // and a comma
		if i > start && (i-start == maxEvents || size+n > maxBatchBytes) {
			batches = append(batches, b[start:i])
			start, size = i, envelopeBytes
		}
		size += n
	}
	if start < len(b) {
		batches = append(batches, b[start:])
	}
	return batches
}
