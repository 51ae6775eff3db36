package extract

import (
	"math"
	"sync"
)

// touched are the conversations that a pass looks at, by the hashes of their
// ids: of those with one hash either all are looked at, or none. The rows of no
// conversation count as one.
type touched struct {
	mu     sync.Mutex
	oldest map[uint64]Time // of the rows that were found, or noTime
	most   int
	all    bool // there are more than can be remembered: everything is looked at
}

// noTime stands for times that are not known.
const noTime Time = math.MaxInt64

// touchedSize is about what remembering a conversation takes, in bytes.
const touchedSize = 32

func newTouched(memory int64) *touched {
	return &touched{oldest: map[uint64]Time{}, most: int(memory / 4 / touchedSize)}
}

func (t *touched) has(p point) bool {
	_, ok := t.oldest[p.hash]
	return ok
}

// add adds what one goroutine has found.
func (t *touched) add(found map[uint64]Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for hash, at := range found {
		if t.all {
			return
		}
		if old, ok := t.oldest[hash]; !ok || at < old {
			t.oldest[hash] = at
		}
		t.all = len(t.oldest) > t.most
	}
}

// since is the time of the first row that was found of any conversation; false
// if there is a conversation without a time.
func (t *touched) since() (Time, bool) {
	first := noTime
	for hash, at := range t.oldest {
		switch {
		case hash == point{}.hash: // what belongs to no conversation needs no time
		case at == noTime:
			return 0, false
		}
		first = min(first, at)
	}
	return first, !t.all
}

// maxFound is how many conversations a goroutine collects before it hands them
// over.
const maxFound = 4096

// touch notes a conversation that is to be looked at, with the time of a row.
func (w *worker) touch(p point, at Time) {
	if old, ok := w.found[p.hash]; ok && old <= at {
		return
	}
	w.found[p.hash] = at
	if len(w.found) >= maxFound {
		w.handOver()
	}
}

func (w *worker) handOver() {
	w.touched.add(w.found)
	clear(w.found)
}
