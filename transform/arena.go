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
	return &Arena{events: pool[Event]{size: eventBlock, reused: true, zeroed: true}, text: pool[byte]{size: textBlock, reused: true}}
}

// collectedArena returns an arena that is never reset: its events are left to
// the garbage collector.
func collectedArena() *Arena {
	return &Arena{events: pool[Event]{size: 1}, text: pool[byte]{size: 2 * MaxEventBytes}}
}

// Reset ends the life of all events made in the arena.
func (a *Arena) Reset() { a.Rewind(Mark{}) }

// Mark is a moment in the life of an arena, the zero one its beginning.
type Mark struct{ events, text place }

// Mark returns the present moment.
func (a *Arena) Mark() Mark { return Mark{a.events.place(), a.text.place()} }

// Rewind ends the life of the events made since m.
func (a *Arena) Rewind(m Mark) {
	a.events.rewind(m.events)
	a.text.rewind(m.text)
}

// Size is the memory, in bytes, that the JSON of the events made in the arena
// takes.
func (a *Arena) Size() int { return a.text.used() }

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
	block := a.text.room(MaxEventBytes + 1)
	start := len(*block)
	b := w.event(*block, e)
	if len(b)-start > MaxEventBytes {
		return false
	}
	*block = append(b, '\n')
	e.setLine((*block)[start:])
	return true
}

// pool is slices that pieces are taken from, one after the other.
type pool[T any] struct {
	size   int  // of a block, unless a piece is larger
	reused bool // else nobody but the pieces' users knows a block that is full
	zeroed bool // pieces are zero; else they are what was there
	open   []T
	full   [][]T
	free   [][]T
}

// place is how much of a pool is in use: full blocks, and a part of the open one.
type place struct{ full, open int }

func (b *pool[T]) place() place { return place{len(b.full), len(b.open)} }

// used is the size of the pieces in use, with what was left over between them.
func (b *pool[T]) used() int {
	n := len(b.open)
	for _, block := range b.full {
		n += cap(block)
	}
	return n
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

// rewind frees what was taken since a place.
func (b *pool[T]) rewind(to place) {
	for len(b.full) > to.full {
		if b.truncate(0); b.open != nil {
			b.free = append(b.free, b.open)
		}
		last := len(b.full) - 1
		b.open, b.full[last] = b.full[last], nil
		b.full = b.full[:last]
	}
	b.truncate(to.open)
}

// truncate frees the end of the open block, all of it if it is a single large
// piece.
func (b *pool[T]) truncate(n int) {
	if n == 0 && cap(b.open) > b.size {
		b.open = nil
	}
	if b.zeroed {
		clear(b.open[n:])
	}
	b.open = b.open[:n]
}
