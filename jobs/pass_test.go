package jobs

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
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
			handOn(t, p, []extract.Transcript{{ConversationID: id, Filtered: 1}})
			if got := p.position(); got != extract.Position(test.want) {
				t.Errorf("from %q, of conversation %q and then %q: position %q, want %q", test.from, test.id, id, got, test.want)
			}
		}
	}
}

// handOn rebuilds conversations and hands on what they become.
func handOn(t *testing.T, p *pass, chats []extract.Transcript) {
	t.Helper()
	some, err := p.rebuilders[0].rebuild(t.Context(), chats)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.take(t.Context(), some); err != nil {
		t.Fatal(err)
	}
	if err := p.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// weigher is a sink that notes how much its chunks hold.
type weigher struct {
	*planner
	made             *transform.Arena
	events, heaviest int
}

func (w *weigher) arena() *transform.Arena {
	w.made = transform.NewArena()
	return w.made
}

func (w *weigher) submit(_ context.Context, c *chunk) error {
	w.events += len(c.events)
	w.heaviest = max(w.heaviest, c.size())
	return nil
}

// TestEventsNotSentTakeNoMemory: a pass over chats that were delivered long ago
// does not hold all that they would be.
func TestEventsNotSentTakeNoMemory(t *testing.T) {
	const conversations, messages, chunkEvents, body = 400, 100, 100, 1000
	sentAt := func(i int) extract.Time { return extract.Time(1_700_000_000_000_000_000 + i*1_000_000_000) }
	for _, test := range []struct {
		name             string
		selected         extract.Time
		events, heaviest int
	}{
		{"nothing is sent", sentAt(messages), 0, 0},
		{"one event of each conversation", sentAt(messages - 1), conversations, chunkEvents*bytesPerEvent + 2*messages*body},
	} {
		sink := &weigher{planner: newPlanner()}
		run := &Run{Source: marked{}, ledgerEmpty: true, ChunkEvents: chunkEvents, Select: &Selection{From: test.selected}}
		p, err := run.newPass(sink, Checkpoint{Tally: newCounts()})
		if err != nil {
			t.Fatal(err)
		}
		var chats []extract.Transcript
		for i := range conversations {
			chat := extract.Transcript{ConversationID: strconv.Itoa(i)}
			for j := range messages {
				chat.Messages = append(chat.Messages, extract.Message{
					ConversationID: chat.ConversationID, MessageID: strconv.Itoa(j), SentAt: sentAt(j),
					Role: extract.Customer, UserID: "u", Body: strings.Repeat("b", body),
				})
			}
			chats = append(chats, chat)
		}
		handOn(t, p, chats)
		if sink.events != test.events || sink.heaviest > test.heaviest {
			t.Errorf("%s: %d events in chunks of up to %d bytes, want %d in %d at most", test.name, sink.events, sink.heaviest, test.events, test.heaviest)
		}
	}
}
