package load

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
	"github.com/chatbackfill/chatbackfill/transform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	canaryKey  = "CANARYKEY-d41d8cd98f"
	canaryBody = "CANARYBODY my card is <4111 1111 1111 1111>\n& my name"
)

// history is a time that is in the past inside of a synctest bubble as well.
var history = extract.TimeOf(time.Date(1999, 5, 6, 7, 8, 9, 123e6, time.UTC))

// events returns n events that differ in everything.
func events(n int) []*transform.Event {
	out := make([]*transform.Event, n)
	for i := range out {
		out[i] = event(i, canaryBody)
	}
	return out
}

func event(i int, body string) *transform.Event {
	e := &transform.Event{
		Name:           transform.Names[i%len(transform.Names)],
		Timestamp:      history.Add(time.Duration(i) * time.Second),
		UserID:         fmt.Sprintf("user-%d", i),
		ConversationID: fmt.Sprintf("conversation-%d", i/4),
		MessageID:      fmt.Sprintf("message-%d", i),
		Agent:          transform.Agent{ID: "7", Name: "Ann", Username: "ann"},
		Duration:       int64(i),
		Body:           body,
		Properties:     []transform.Property{{Key: "inbox", Value: json.RawMessage(`"sales"`)}},
	}
	binary.BigEndian.PutUint64(e.ID[8:], uint64(i)+1)
	encode(e)
	return e
}

// encode sets the JSON that analytics-go makes of e.
func encode(e *transform.Event) {
	track := Track(e)
	track.Type = "track"
	encoded, err := json.Marshal(track)
	if err != nil {
		panic(err)
	}
	e.JSON = encoded
}

func ids(events []*transform.Event) []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = e.ID.String()
	}
	slices.Sort(out)
	return out
}

// openSegment returns a destination on the server; change may alter its
// settings.
func openSegment(t testing.TB, s *segmenttest.Server, change func(*SegmentConfig)) *Segment {
	t.Helper()
	c := SegmentConfig{WriteKey: canaryKey, Endpoint: s.URL, RetryFor: 30 * time.Minute}
	if change != nil {
		change(&c)
	}
	d, err := NewSegment(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// openPiped is openSegment for a server in memory.
func openPiped(t testing.TB, s *segmenttest.Server, change func(*SegmentConfig)) *Segment {
	t.Helper()
	return openSegment(t, s, func(c *SegmentConfig) {
		c.dial = s.Dial
		if change != nil {
			change(c)
		}
	})
}

// wantAccepted checks that the server has exactly these events, byte for byte.
func wantAccepted(t *testing.T, s *segmenttest.Server, want []*transform.Event) {
	t.Helper()
	got := s.Accepted()
	if g, w := slices.Sorted(maps.Keys(got)), ids(want); !slices.Equal(g, w) {
		t.Fatalf("accepted %d events %.5v, want %d %.5v", len(g), g, len(w), w)
	}
	for _, e := range want {
		if g := string(got[e.ID.String()].JSON); g != string(e.JSON) {
			t.Fatalf("accepted\n%s\nwant\n%s", g, e.JSON)
		}
	}
}

// wantOutcomes checks the outcomes: a for accepted, r for rejected, - for not
// done; repeated by a count.
func wantOutcomes(t *testing.T, d Delivery, want string) {
	t.Helper()
	var got strings.Builder
	for i := 0; i < len(d.Outcomes); {
		j := i
		for j < len(d.Outcomes) && letter(d.Outcomes[j]) == letter(d.Outcomes[i]) {
			j++
		}
		fmt.Fprintf(&got, "%s%d ", letter(d.Outcomes[i]), j-i)
		i = j
	}
	if g := strings.TrimSpace(got.String()); g != want {
		t.Fatalf("outcomes %s, want %s", g, want)
	}
}

func letter(o Outcome) string {
	switch {
	case o.Accepted && o.Reject == nil:
		return "a"
	case o.Reject != nil && !o.Accepted:
		return "r"
	case !o.Done():
		return "-"
	}
	return "?"
}

// wantNoCanary checks that neither the write key nor a message's text shows.
func wantNoCanary(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for _, canary := range []string{canaryKey, "CANARY", "4111 1111"} {
			if strings.Contains(text, canary) {
				t.Errorf("%q shows in %q", canary, text)
			}
		}
	}
}

func logTo(b *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func statusName(code int) string { return fmt.Sprintf("%d %s", code, http.StatusText(code)) }
