package transform

// arena holds the encoded events of many conversations in few allocations.
type arena struct {
	block   []byte
	scratch []byte // of the event being written
}

// arenaBlock is small enough for the processor's cache, which a block passes
// through when it is cleared and when it is written.
const arenaBlock = 1 << 16

// write encodes e into the arena and sets its JSON. It reports false, and
// leaves JSON unset, if the event is larger than an event may be.
func (a *arena) write(e *Event) bool {
	a.scratch = appendEvent(a.scratch[:0], e)
	n := len(a.scratch)
	if n > MaxEventBytes {
		return false
	}
	if cap(a.block)-len(a.block) < n {
		a.block = make([]byte, 0, arenaBlock)
	}
	start := len(a.block)
	a.block = append(a.block, a.scratch...)
	e.JSON = a.block[start : start+n : start+n]
	return true
}
