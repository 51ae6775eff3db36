package jobs

import (
	"testing"

	"github.com/chatbackfill/chatbackfill/extract"
)

// marked is a source that is only asked for positions.
type marked struct{ Source }

func (marked) Pass(extract.Pass) SourcePass { return markedPass{} }

type markedPass struct{ SourcePass }

func (markedPass) After(id string) extract.Position { return extract.Position("after " + id) }

// TestPositionAmongBadIDs: rows of no conversation have a position at the start
// of a pass; wherever else they come the position stays after what was read.
func TestPositionAmongBadIDs(t *testing.T) {
	for _, test := range []struct {
		from, id, want string
	}{
		{"", "", "after "},
		{"after a", "", "after a"},
		{"after a", "b", "after b"},
	} {
		p, err := (&Run{Source: marked{}, ledgerEmpty: true, ChunkEvents: 10}).newPass(newPlanner(), Checkpoint{Tally: newCounts()})
		if err != nil {
			t.Fatal(err)
		}
		p.from = extract.Position(test.from)
		for _, id := range []string{test.id, ""} {
			if err := p.page(t.Context(), extract.Page{Transcripts: []extract.Transcript{{ConversationID: id, Filtered: 1}}}); err != nil {
				t.Fatal(err)
			}
			if got := p.position(); got != extract.Position(test.want) {
				t.Errorf("from %q, of conversation %q and then %q: position %q, want %q", test.from, test.id, id, got, test.want)
			}
		}
	}
}
