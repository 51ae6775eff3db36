package transform

// Arena is memory that events are made in: their structs and their JSON. Once
// nobody uses them any more, [Arena.Reset] gives their memory to the events that
// are made next: millions of events take the memory of the few that are on their
// way at a time, and leave nothing to the garbage collector. It is for one
// goroutine at a time.
type Arena struct {
	events pool[Event]
	text   pool[byte]
}

// The sizes of blocks. An event is written where it stays, so that a block of
// text ends when the largest event may not have room.
const (
	eventBlock = 1 << 9
	textBlock  = 16 * MaxEventBytes
)

// NewArena returns an empty arena.
func NewArena() *Arena {
	return &Arena{events: pool[Event]{size: eventBlock, reused: true}, text: pool[byte]{size: textBlock, reused: true}}
}

// collectedArena returns an arena that is never reset: its events are left to
// the garbage collector.
func collectedArena() *Arena {
	return &Arena{events: pool[Event]{size: 1}, text: pool[byte]{size: 2 * MaxEventBytes}}
}

// Reset ends the life of all events made in the arena.
func (a *Arena) Reset() {
	for _, block := range a.events.all() {
		clear(block) // they point to transcripts
	}
	a.events.reset()
	a.text.reset()
}

// reserve returns room for n events, all zero.
func (a *Arena) reserve(n int) []Event {
	block := a.events.room(n)
	start := len(*block)
	*block = (*block)[:start+n]
	return (*block)[start : start : start+n]
}

// write encodes e and sets its JSON. It reports false, and leaves JSON unset, if
// the event is larger than an event may be.
func (a *Arena) write(w *writer, e *Event) bool {
	block := a.text.room(MaxEventBytes)
	start := len(*block)
	b := w.event(*block, e)
	if len(b)-start > MaxEventBytes {
		return false
	}
	*block = b
	e.JSON = b[start:len(b):len(b)]
	return true
}

// pool is slices that pieces are taken from, one after the other.
type pool[T any] struct {
	size   int // of a block, unless a piece is larger
	reused bool
	open   []T
	full   [][]T
	free   [][]T
}

// room returns the block that has room for a piece of n at its end.
func (b *pool[T]) room(n int) *[]T {
	if cap(b.open)-len(b.open) < n {
		b.next(n)
	}
	return &b.open
}

func (b *pool[T]) next(n int) {
	if b.reused && b.open != nil {
		b.full = append(b.full, b.open)
	}
	last := len(b.free) - 1
	if n > b.size || last < 0 {
		b.open = make([]T, 0, max(n, b.size))
		return
	}
	b.open, b.free = b.free[last], b.free[:last]
}

// all returns the blocks in use.
func (b *pool[T]) all() [][]T {
	if b.open != nil {
		b.full, b.open = append(b.full, b.open), nil
	}
	return b.full
}

// reset frees the blocks in use, but for those of single large pieces.
func (b *pool[T]) reset() {
	for _, block := range b.all() {
		if cap(block) == b.size {
			b.free = append(b.free, block[:0])
		}
	}
	clear(b.full)
	b.full = b.full[:0]
}
