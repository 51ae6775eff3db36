package extract

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"sync"
)

// maxStrays is how many rejects of rows that belong to no conversation are
// kept. They cannot be spread over partitions, so the others are only counted.
const maxStrays = 10_000

// strays collects the rejects of rows that belong to no conversation: the first
// ones of the source, whatever goroutine finds them when, and for each file and
// reason the number of the others.
type strays struct {
	mu     sync.Mutex
	kept   strayHeap
	counts map[strayGroup]int
}

// stray is a reject and where its row stands in the source.
type stray struct {
	origin uint32
	row    int64
	elem   int
	reject Reject
}

type strayGroup struct {
	origin uint32
	set    string
	reason Reason
}

func (a *stray) compare(b *stray) int {
	return cmp.Or(cmp.Compare(a.origin, b.origin), cmp.Compare(a.row, b.row), cmp.Compare(a.elem, b.elem))
}

// strayHeap has the last one on top.
type strayHeap []stray

func (h strayHeap) Len() int           { return len(h) }
func (h strayHeap) Less(i, j int) bool { return h[i].compare(&h[j]) > 0 }
func (h strayHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *strayHeap) Push(x any)        { *h = append(*h, x.(stray)) }
func (h *strayHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// add keeps or counts a reject. locate is called for those that are kept.
func (s *strays) add(new stray, locate func(r *Reject)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == maxStrays && new.compare(&s.kept[0]) > 0 {
		s.count(&new)
		return
	}
	locate(&new.reject)
	if heap.Push(&s.kept, new); len(s.kept) > maxStrays {
		last := heap.Pop(&s.kept).(stray)
		s.count(&last)
	}
}

func (s *strays) count(x *stray) {
	if s.counts == nil {
		s.counts = map[strayGroup]int{}
	}
	s.counts[strayGroup{x.origin, x.reject.Set, x.reject.Reason}]++
}

// rejects are those kept, and those that stand for the others.
func (s *strays) rejects(name func(origin uint32) string) []Reject {
	all := make([]Reject, 0, len(s.kept)+len(s.counts))
	for i := range s.kept {
		all = append(all, s.kept[i].reject)
	}
	for key, n := range s.counts {
		all = append(all, Reject{
			Stage: StageRead, Reason: key.reason, Set: key.set, Locator: name(key.origin) + ": further rows", Rows: n,
			Detail: fmt.Sprintf("%d further rows of the file that belong to no conversation", n),
		})
	}
	slices.SortFunc(all, func(a, b Reject) int { return cmp.Compare(a.Locator, b.Locator) })
	return all
}
