package transform

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTallyAddsUp(t *testing.T) {
	a := Tally{Rows: map[Outcome]int{Caused: 2}, Events: map[Outcome]int{Accepted: 3}, Conversations: 1}
	b := a.Clone()
	b.Add(Tally{Rows: map[Outcome]int{Caused: 1, Ignored + "note": 4}, Events: map[Outcome]int{Waiting: 1}, Conversations: 2, StartedLate: 1})
	want := Tally{
		Rows:   map[Outcome]int{Caused: 3, "ignored:note": 4},
		Events: map[Outcome]int{Accepted: 3, Waiting: 1}, Conversations: 3, StartedLate: 1,
	}
	if diff := cmp.Diff(want, b); diff != "" || a.RowCount() != 2 || b.RowCount() != 7 || b.EventCount() != 4 {
		t.Errorf("(-want +got):\n%s\n%+v", diff, a)
	}
}
