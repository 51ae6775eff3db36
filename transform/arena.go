package transform

// arena holds the encoded events of many conversations in few allocations.
type arena struct {
	block []byte
}

const arenaBlock = 1 << 20

// write encodes e into the arena and sets its JSON. It reports false, and
// leaves JSON unset, if the event is larger than an event may be.
func (a *arena) write(e *Event) bool {
	if cap(a.block)-len(a.block) < MaxEventBytes {
		a.block = make([]byte, 0, arenaBlock)
	}
	start := len(a.block)
	b := appendEvent(a.block, e)
	if len(b)-start > MaxEventBytes {
		return false
	}
	a.block = b
	e.JSON = b[start:len(b):len(b)]
	return true
}
