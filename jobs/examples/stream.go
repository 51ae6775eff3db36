package examples

import (
	"cmp"
	"container/heap"
	"iter"
	"math"
	"slices"
	"time"
)

// sitting is the longest that rows of a chat are kept in memory before their
// turn. A chat that goes on later is made again then, which is cheaper than
// keeping all chats that wait for a night, a weekend or a customer's return.
const sitting = time.Hour

// turn is a chat that goes on at a time, in milliseconds, with its row from.
type turn struct {
	at   int64
	chat int
	from int
}

// stream makes the rows of all chats in the order in which they were inserted.
type stream struct {
	conversations int
	seed          uint64
	begun         int
	later         ordered[turn]   // chats that go on
	pending       ordered[record] // rows that wait for their time
}

// rows yields the rows of all chats in the order in which they were inserted,
// chats interleaved. See [Write] for progress.
func rows(conversations int, seed uint64, progress func(begun int)) iter.Seq[record] {
	return func(yield func(record) bool) {
		s := stream{conversations: conversations, seed: seed}
		s.later.compare = func(a, b turn) int { return cmp.Compare(a.at, b.at) }
		s.pending.compare = func(a, b record) int {
			return cmp.Or(cmp.Compare(a.InsertedAt, b.InsertedAt), cmp.Compare(a.ID, b.ID))
		}
		for s.begun < conversations || s.later.Len() > 0 {
			begun := s.begun
			t := s.next()
			if progress != nil && s.begun > begun {
				progress(s.begun)
			}
			if !s.yieldBefore(t.at, yield) {
				return
			}
			s.open(t)
		}
		s.yieldBefore(math.MaxInt64, yield)
	}
}

// next takes the earliest turn: of a chat that goes on, or of one that begins.
func (s *stream) next() turn {
	if s.begun == s.conversations {
		return heap.Pop(&s.later).(turn)
	}
	begins := turn{chat: s.begun, at: startOf(s.begun, s.conversations, s.seed).UnixMilli()}
	if s.later.Len() > 0 && s.later.items[0].at < begins.at {
		return heap.Pop(&s.later).(turn)
	}
	s.begun++
	return begins
}

// yieldBefore yields the rows inserted before a time, which is that of the next
// turn: no later turn has an earlier row. It returns false when yield does.
func (s *stream) yieldBefore(at int64, yield func(record) bool) bool {
	for s.pending.Len() > 0 && s.pending.items[0].InsertedAt < at {
		if !yield(heap.Pop(&s.pending).(record)) {
			return false
		}
	}
	return true
}

// open makes the rows of a turn pending, and remembers the chat's next turn.
func (s *stream) open(t turn) {
	chat := chatRows(t.chat, s.conversations, s.seed)
	for i, row := range chat[t.from:] {
		if row.InsertedAt > t.at+sitting.Milliseconds() {
			heap.Push(&s.later, turn{at: row.InsertedAt, chat: t.chat, from: t.from + i})
			return
		}
		heap.Push(&s.pending, row)
	}
}

// chatRows are the rows of one chat in the order of their insertion.
func chatRows(index, conversations int, seed uint64) []record {
	c := newChat(index, conversations, seed)
	c.play()
	c.spoil()
	slices.SortStableFunc(c.rows, func(a, b record) int { return cmp.Compare(a.InsertedAt, b.InsertedAt) })
	return c.rows
}

// ordered is a heap.
type ordered[T any] struct {
	items   []T
	compare func(a, b T) int
}

func (o *ordered[T]) Len() int           { return len(o.items) }
func (o *ordered[T]) Less(i, j int) bool { return o.compare(o.items[i], o.items[j]) < 0 }
func (o *ordered[T]) Swap(i, j int)      { o.items[i], o.items[j] = o.items[j], o.items[i] }
func (o *ordered[T]) Push(x any)         { o.items = append(o.items, x.(T)) }
func (o *ordered[T]) Pop() any {
	last := o.items[len(o.items)-1]
	o.items = o.items[:len(o.items)-1]
	return last
}
