package transform

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Law 1: any permutation of the rows, any page size, any number of shards and
// any split into files give the same events, byte for byte.
func TestLaw1(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		tr, known := drawTranscript(t, len(o.Extra)), drawKnown(t)
		want := observe(t, o, tr, known)
		if diff := cmp.Diff(want, observe(t, o, drawShuffled(t, tr), known)); diff != "" {
			t.Fatalf("the same rows in another order (-before +after):\n%s", diff)
		}
	})
}

// drawShuffled draws the same rows in another order and other files. Equal rows
// without an id stay apart or together: in one file they are two messages, in
// two files they are one.
func drawShuffled(t *rapid.T, tr *extract.Transcript) *extract.Transcript {
	shuffled := *tr
	shuffled.Messages = rapid.Permutation(tr.Messages).Draw(t, "rows shuffled")
	shuffled.Conversations = rapid.Permutation(tr.Conversations).Draw(t, "conversation rows shuffled")
	type said struct {
		at           extract.Time
		author, body string
	}
	times := map[said]int{}
	key := func(m extract.Message) said { return said{m.SentAt, m.Author.ID, m.Body} }
	for _, m := range tr.Messages {
		times[key(m)]++
	}
	for i := range shuffled.Messages {
		m := &shuffled.Messages[i]
		if m.MessageID != "" || times[key(*m)] == 1 {
			m.Origin = uint32(rapid.IntRange(0, 3).Draw(t, "file"))
		} else {
			m.Origin = 7 - m.Origin
		}
	}
	return &shuffled
}

// A Builder builds every conversation as if it were its first.
func TestLaw1AcrossConversations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		b, err := NewBuilder(o)
		if err != nil {
			t.Fatal(err)
		}
		tally, want := NewTally(), NewTally()
		for range rapid.IntRange(2, 5).Draw(t, "conversations") {
			tr, known := drawTranscript(t, len(o.Extra)), drawKnown(t)
			fresh := observe(t, o, tr, known)
			want.Add(fresh.Tally)
			fresh.Tally = Tally{}
			got := observed(b.Build(tr, known, &tally))
			if diff := cmp.Diff(fresh, got); diff != "" {
				t.Fatalf("built after others (-alone +after others):\n%s", diff)
			}
		}
		if diff := cmp.Diff(want, tally); diff != "" {
			t.Fatalf("tally (-sum +got):\n%s", diff)
		}
	})
}

// drawDistinct draws a transcript without duplicates.
func drawDistinct(t *rapid.T, extras int) *extract.Transcript {
	tr := drawTranscript(t, extras)
	for i := range tr.Messages {
		tr.Messages[i].MessageID = fmt.Sprint("m", i)
	}
	tr.Rejects = nil
	return tr
}

// drawSendable draws options that neither reject nor suppress conversations.
func drawSendable(t *rapid.T) Options {
	o := drawOptions(t)
	o.Identity, o.Suppressed = AnonymousID, nil
	return o
}

// Law 2: every customer message causes exactly one Sent; a conversation has at
// most one Started.
func TestLaw2(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawSendable(t)
		o.Final = true
		tr := drawDistinct(t, len(o.Extra))
		want := map[string]int{}
		for _, m := range tr.Messages {
			said := m.Kind == extract.KindMessage || m.Kind >= extract.KindEnd && m.Kind <= extract.KindJoin && !blank(m.Body)
			if m.Role == extract.Customer && said {
				want[m.MessageID] = 1
			}
		}
		sent, started := map[string]int{}, 0
		for _, e := range build(t, o, tr, Known{}).Events {
			switch e.Name {
			case Sent:
				sent[e.MessageID]++
			case Started:
				started++
			}
		}
		if diff := cmp.Diff(want, sent); diff != "" || started != min(len(want), 1) {
			t.Fatalf("%d Started, Sent by message (-want +got):\n%s", started, diff)
		}
	})
}

// Law 3: durations are integers ≥ 0 and do not decrease from event to event.
func TestLaw3(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawSendable(t)
		last := int64(0)
		for _, e := range build(t, o, drawTranscript(t, len(o.Extra)), drawKnown(t)).Events {
			var track struct{ Properties map[string]json.RawMessage }
			if err := json.Unmarshal(e.JSON, &track); err != nil {
				t.Fatal(err)
			}
			d, err := strconv.ParseInt(string(track.Properties["conversation_duration"]), 10, 64)
			if err != nil || d < last || d != e.Duration {
				t.Fatalf("duration %d after %d: %v", d, last, err)
			}
			last = d
		}
	})
}

// Law 4: messageIds are unique, and equal exactly for the same (namespace,
// label, conversation, event, message).
func TestLaw4(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type about struct {
			namespace, label, conversation, message string
			name                                    Name
		}
		ids, abouts := map[ID]about{}, map[about]ID{}
		for range rapid.IntRange(1, 4).Draw(t, "builds") {
			o := drawSendable(t)
			o.Namespace, o.Label = oneOf(t, "namespace", "a", "b"), oneOf(t, "label", "a", "b")
			tr := drawDistinct(t, len(o.Extra))
			seen := map[ID]bool{}
			for _, e := range build(t, o, tr, drawKnown(t)).Events {
				a := about{o.Namespace, o.Label, tr.ConversationID, e.MessageID, e.Name}
				if other, ok := ids[e.ID]; seen[e.ID] || ok && other != a {
					t.Fatalf("%s names %v and %v", e.ID, a, other)
				}
				if other, ok := abouts[a]; ok && other != e.ID {
					t.Fatalf("%v is %s and %s", a, e.ID, other)
				}
				ids[e.ID], abouts[a], seen[e.ID] = a, e.ID, true
			}
		}
	})
}

// Law 5: adding a message after all others never removes an event or changes
// its id, timestamp or duration; with end_after_idle, a message that long after.
func TestLaw5(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawSendable(t)
		tr, known := drawDistinct(t, len(o.Extra)), Known{}
		end := noon
		for _, m := range tr.Messages {
			end = max(end, m.SentAt)
		}
		for _, c := range tr.Conversations {
			end = max(end, c.EndedAt)
		}
		end = end.Add(o.EndAfterIdle)
		known.Horizon = end.Add(oneOf(t, "horizon", 1, time.Minute, time.Hour))
		before := build(t, o, tr, known).Events
		more := drawMessage(t, len(o.Extra))
		if more.Kind == extract.KindEnd && (blank(more.Body) || more.Role == extract.System) {
			more.Kind = extract.KindMessage // an end row that is no message may tell of the same end
		}
		more.ConversationID, more.MessageID, more.SentAt = tr.ConversationID, "added", end.Add(oneOf(t, "later", 1, time.Second))
		more.Author.ID = oneOf(t, "new author", "", "somebody new")
		tr.Messages = append(tr.Messages, more)
		after := map[ID]Event{}
		for _, e := range build(t, o, tr, known).Events {
			after[e.ID] = e
		}
		for _, e := range before {
			if now, ok := after[e.ID]; !ok || now.Timestamp != e.Timestamp || now.Duration != e.Duration || now.Name != e.Name {
				t.Fatalf("before: %s\nafter: %s", e.JSON, now.JSON)
			}
		}
	})
}

// Law 6: the outcomes add up to the rows read, and to the events derived.
func TestLaw6(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		tr, known := drawTranscript(t, len(o.Extra)), drawKnown(t)
		if rarely(t, "large") {
			o.Extra, o.Properties = nil, map[string]any{"large": string(make([]byte, 6000))}
		}
		got := observe(t, o, tr, known)
		if n := got.Tally.RowCount(); n != tr.Rows() {
			t.Fatalf("outcomes of %d rows, of %d", n, tr.Rows())
		}
		o.WaitForAgent = 0
		all := observe(t, o, tr, known)
		if n, derived := got.Tally.EventCount()+len(got.JSON), all.Tally.EventCount()+len(all.JSON); n != derived {
			t.Fatalf("outcomes of %d events, of %d", n, derived)
		}
	})
}
