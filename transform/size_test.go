package transform

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/chatbackfill/chatbackfill/extract"
)

func oneMessage(body string) *extract.Transcript {
	return &extract.Transcript{ConversationID: "c1", Messages: []extract.Message{{
		ConversationID: "c1", MessageID: "1", SentAt: noon, Role: extract.Customer, UserID: "u1", Body: body,
	}}}
}

// A body is cut to the longest prefix of whole code points with which the event
// has at most 32,000 bytes, whatever its last code point is.
func TestBodyIsCutAtTheLimit(t *testing.T) {
	bare := len(build(t, Options{}, oneMessage("x"), Known{}).Events[1].JSON) - 1
	flag := len(`,"message_body_truncated":true`)
	for _, last := range []string{"a", "é", "€", "😀", `"`, "\\", "<", "\n", "\x01", "\u2028", "\x00", "\xff"} {
		encoded := len(appendString(nil, readable(last))) - 1
		for more := -2; more <= 2; more++ {
			body := strings.Repeat("a", MaxEventBytes-bare-encoded+more) + last
			e := build(t, Options{}, oneMessage(body), Known{}).Events[1]
			cut := strings.Contains(string(e.JSON), `"message_body_truncated":true`)
			switch fits := more <= 0; {
			case !json.Valid(e.JSON) || len(e.JSON) > MaxEventBytes || !utf8.ValidString(e.Body):
				t.Errorf("%q %+d: %d bytes", last, more, len(e.JSON))
			case cut == fits:
				t.Errorf("%q %+d: cut %v", last, more, cut)
			case fits && (e.Body != readable(body) || len(e.JSON) != MaxEventBytes+more):
				t.Errorf("%q %+d: %d bytes, body of %d", last, more, len(e.JSON), len(e.Body))
			case !fits && len(e.JSON) != MaxEventBytes:
				t.Errorf("%q %+d: cut to %d bytes, %d for the flag", last, more, len(e.JSON), flag)
			}
		}
	}
}

// A code point that does not fit is left out whole.
func TestBodyIsCutBetweenCodePoints(t *testing.T) {
	for _, c := range []string{"é", "€", "😀", `"`, "<", "\u2028", "e\u0301"} {
		for shift := range 12 {
			body := strings.Repeat("a", shift+1) + strings.Repeat(c, 40_000)
			e := build(t, Options{}, oneMessage(body), Known{}).Events[0]
			_, size := utf8.DecodeRuneInString(body[len(e.Body):])
			next := len(appendString(nil, body[len(e.Body):len(e.Body)+size])) - 1
			if !strings.HasPrefix(body, e.Body) || len(e.JSON) > MaxEventBytes || len(e.JSON)+next <= MaxEventBytes {
				t.Errorf("%q after %d: %d bytes, of a body of %d; the next code point has %d", c, shift, len(e.JSON), len(e.Body), next)
			}
		}
	}
}

// Bodies of a megabyte are cleaned and cut in linear time: a quadratic path
// would take minutes here.
func TestBodyOfAMegabyte(t *testing.T) {
	const size = 1 << 20
	for _, piece := range []string{
		"a", "\x00", "\xff", "<", "<p>", "&", "1", "1 ", "+1 212 555 0123 ", "@", "a@", "a@b.c", ":", "1:", "1.", "DE89 ", "(",
		"<a href=x>", "<ul><li>",
	} {
		body := strings.Repeat(piece, size/len(piece))
		var r redactor
		r.clean(body)
		htmlText(body)
		for _, e := range build(t, Options{}, oneMessage(body), Known{}).Events {
			if len(e.JSON) > MaxEventBytes || !json.Valid(e.JSON) || !strings.Contains(string(e.JSON), "truncated") {
				t.Errorf("%q: %d bytes", piece, len(e.JSON))
			}
		}
	}
}

// An event whose other properties alone are too large is rejected; others of
// the same row are not.
func TestTooLarge(t *testing.T) {
	tr := oneMessage(strings.Repeat("b", 40_000))
	o := Options{Extra: []string{"blob"}}
	tr.Messages[0].Extra = []string{`"` + strings.Repeat("x", 31_500) + `"`}
	both := build(t, o, tr, Known{}).Events
	if len(both) != 2 || both[0].Name != Started || both[0].Body == "" || len(both[0].JSON) != MaxEventBytes {
		t.Fatalf("an event with a large extra is not cut: %d", len(both))
	}
	// Started and Ended have longer names than Sent.
	room := MaxEventBytes - len(both[0].JSON) + len(both[0].Body) + len(`,"message_body":""`)
	tr.Messages[0].Kind = extract.KindEnd
	tr.Messages[0].Extra = []string{`"` + strings.Repeat("x", 31_500+room+5) + `"`}
	tally := NewTally()
	c := newBuilder(t, o).Build(tr, Known{}, &tally)
	if len(c.Events) != 1 || c.Events[0].Name != Sent || c.Events[0].Body != "" || !strings.Contains(string(c.Events[0].JSON), "truncated") {
		t.Errorf("got %d events", len(c.Events))
	}
	if len(c.Rejects) != 2 || c.Rejects[0].Reason != TooLarge || c.Rejects[0].MessageID != "1" || tally.Rows[Caused] != 1 || tally.Events["rejected:too_large"] != 2 {
		t.Errorf("got %+v, %+v", c.Rejects, tally)
	}
	tr.Messages[0].Extra = []string{`"` + strings.Repeat("x", MaxEventBytes) + `"`}
	tally = NewTally()
	c = newBuilder(t, o).Build(tr, Known{}, &tally)
	if len(c.Events) != 0 || len(c.Rejects) != 3 || tally.Rows["rejected:too_large"] != 1 || tally.Events["rejected:too_large"] != 3 {
		t.Errorf("got %d events, %+v", len(c.Events), tally)
	}
}

// A conversation whose customer is unknown is rejected as one, not event by event.
func TestTooLargeAndUnknown(t *testing.T) {
	tr := oneMessage("")
	tr.Messages[0].UserID, tr.Messages[0].Extra = "", []string{`"` + strings.Repeat("x", MaxEventBytes) + `"`}
	c := build(t, Options{Extra: []string{"blob"}}, tr, Known{})
	if c.Rejected != NoIdentity || len(c.Rejects) != 1 || c.Rejects[0].Reason != NoIdentity {
		t.Errorf("got %s, %+v", c.Rejected, c.Rejects)
	}
}

// largeChats are one conversation of n messages each, in the shapes that a
// careless rebuild takes quadratic time for.
var largeChats = map[string]func(i int) extract.Message{
	"in turns": func(i int) extract.Message {
		return extract.Message{Role: extract.Role(1 + i%2), Author: extract.Person{ID: fmt.Sprint(i % 2)}}
	},
	"all equal times": func(i int) extract.Message {
		return extract.Message{Role: extract.Customer, SentAt: noon}
	},
	"many customers": func(i int) extract.Message {
		return extract.Message{Role: extract.Customer, Author: extract.Person{ID: fmt.Sprint(i)}}
	},
	"many customers without ids": func(i int) extract.Message {
		return extract.Message{Role: extract.Customer, Author: extract.Person{ID: fmt.Sprint(i)}, UserID: "null"}
	},
	"no agents": func(i int) extract.Message {
		return extract.Message{Role: extract.Customer}
	},
	"many bots": func(i int) extract.Message {
		return extract.Message{Role: extract.Bot, Author: extract.Person{ID: fmt.Sprint(i)}}
	},
	"many agents, assigned last": func(i int) extract.Message {
		return extract.Message{Role: extract.System, Kind: extract.KindAssign, Agent: extract.Person{ID: fmt.Sprint(i)}}
	},
	"many ends": func(i int) extract.Message {
		return extract.Message{Role: extract.Customer, Kind: extract.KindEnd, Body: "bye"}
	},
	"ends of one message": func(i int) extract.Message {
		return extract.Message{Role: extract.Agent, Kind: extract.KindEnd}
	},
	"idle": func(i int) extract.Message {
		return extract.Message{Role: extract.Customer, SentAt: noon.Add(time.Duration(i) * time.Hour)}
	},
	"one id": func(i int) extract.Message {
		return extract.Message{Role: extract.Customer, MessageID: "1", SentAt: noon.Add(time.Duration(i) * time.Hour)}
	},
	"without ids": func(i int) extract.Message {
		return extract.Message{Role: extract.Customer, MessageID: "-", SentAt: noon, Body: "hi"}
	},
}

func largeChat(shape func(int) extract.Message, n int) *extract.Transcript {
	tr := &extract.Transcript{ConversationID: "c1", Messages: make([]extract.Message, n)}
	for i := range tr.Messages {
		m := shape((i*7919 + 1) % n) // any order
		m.ConversationID = "c1"
		if m.SentAt == 0 {
			m.SentAt = noon.Add(time.Duration(i*7919%n) * time.Second)
		}
		switch m.MessageID {
		case "":
			m.MessageID = fmt.Sprint(i)
		case "-":
			m.MessageID = ""
		}
		tr.Messages[i] = m
	}
	tr.Messages[n-1] = extract.Message{ConversationID: "c1", MessageID: "the first", SentAt: noon - 1, Role: extract.Customer, UserID: "u1"}
	return tr
}

var largeOptions = Options{Derived: DerivedProperties, EndAfterIdle: 30 * time.Minute, WaitForAgent: time.Hour}

// TestBuildIsLinear compares one conversation with the same number of messages
// in sixteen conversations. A quadratic path would take sixteen times as long;
// what else the machine does slows both alike.
func TestBuildIsLinear(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for name, shape := range largeChats {
		t.Run(name, func(t *testing.T) {
			const n, parts = 1000, 16
			b, small, large := newBuilder(t, largeOptions), largeChat(shape, n), largeChat(shape, parts*n)
			elapsed := func(tr *extract.Transcript, times int) time.Duration {
				tally, start := NewTally(), time.Now()
				for range times {
					b.Build(tr, Known{Horizon: noon}, &tally)
				}
				return time.Since(start)
			}
			ratio := 0.0
			for range 10 {
				runtime.GC()
				if ratio = float64(elapsed(large, 1)) / float64(elapsed(small, parts)); ratio < parts/2 {
					return
				}
			}
			t.Errorf("one conversation takes %.0f times as long as %d", ratio, parts)
		})
	}
}

func BenchmarkBuildLarge(b *testing.B) {
	for name, shape := range largeChats {
		for _, n := range []int{1000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				tr, builder := largeChat(shape, n), newBuilder(b, largeOptions)
				for b.Loop() {
					tally := NewTally()
					builder.Build(tr, Known{Horizon: noon}, &tally)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/row")
			})
		}
	}
}
