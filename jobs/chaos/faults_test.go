package chaos

import (
	"fmt"
	"testing"
)

// fault is something that happens, and what must hold nevertheless. The
// invariants of check hold besides, always.
type fault struct {
	number int
	name   string
	holds  string
	do     func(r *rig)
	on     []combination // nil: all
	chats  int           // 0: as many as make some hundreds of events
	slow   bool          // not part of the short run
}

// onRowsIn are the combinations with rows there.
func onRowsIn(source string) (all []combination) {
	for _, c := range combinations {
		if c.source == source {
			all = append(all, c)
		}
	}
	return all
}

// onStateIn are the combinations with the state there.
func onStateIn(store string) (all []combination) {
	for _, c := range combinations {
		if c.store == store {
			all = append(all, c)
		}
	}
	return all
}

const (
	someChats = 60   // some hundreds of events, one chunk
	manyChats = 1600 // several chunks
)

// faults are all that the suite drives, in the order of their numbers.
var faults = []fault{
	{number: 1, name: "killed at random moments", holds: "what was accepted is accepted once; the next run goes on", do: killLoop, chats: manyChats},
	{number: 2, name: "killed at every failpoint", holds: "as 1", do: killAtFailpoints},
}

// TestFaults does to the program what the table says.
func TestFaults(t *testing.T) {
	for _, f := range faults {
		if *only != 0 && *only != f.number {
			continue
		}
		for _, c := range f.combinations() {
			t.Run(fmt.Sprintf("%02d %s/%v", f.number, f.name, c), func(t *testing.T) {
				t.Parallel()
				chats := f.chats
				if chats == 0 {
					chats = someChats
				}
				f.do(newRig(t, c, *seed, chats))
			})
		}
	}
}

// combinations are those that the fault is tried on: in the short run one, that
// differs from fault to fault.
func (f *fault) combinations() []combination {
	on := f.on
	if on == nil {
		on = combinations
	}
	if *full || *only != 0 {
		return on
	}
	if f.slow {
		return nil
	}
	i := (f.number + int(*seed)) % len(on)
	return on[i : i+1]
}

// TestFaultsAreNumbered: a number names one fault.
func TestFaultsAreNumbered(t *testing.T) {
	for i, f := range faults {
		if i > 0 && f.number <= faults[i-1].number {
			t.Errorf("fault %d comes after fault %d", f.number, faults[i-1].number)
		}
		if f.name == "" || f.holds == "" || f.do == nil {
			t.Errorf("fault %d is not complete", f.number)
		}
	}
}
