package transform

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/segmentio/analytics-go/v3"
	"pgregory.net/rapid"

	"github.com/chatbackfill/chatbackfill/extract"
)

// TestWriterIsAnalyticsGo holds our encoding of an event to that of the
// analytics-go track with the same content, byte for byte.
func TestWriterIsAnalyticsGo(t *testing.T) {
	var w writer // that has written others before
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		got := w.event(nil, &e)
		want, err := json.Marshal(track(&e))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Fatalf("encoded event\n got %s\nwant %s", got, want)
		}
	})
}

func TestPrefixIsTheLongestThatFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		limit := rapid.IntRange(-1, 40).Draw(t, "limit")
		p := prefix(s, limit)
		size := func(s string) int { return len(appendString(nil, s)) - 1 }
		if p != s[:len(p)] || !utf8.ValidString(p) || p != "" && size(p) > limit {
			t.Fatalf("prefix(%q, %d) = %q", s, limit, p)
		}
		if rest := s[len(p):]; rest != "" {
			_, n := utf8.DecodeRuneInString(rest)
			if size(s[:len(p)+n]) <= limit {
				t.Fatalf("prefix(%q, %d) = %q could be longer", s, limit, p)
			}
		}
	})
}

func drawEvent(t *rapid.T) Event {
	text := rapid.String()
	settings := &Settings{}
	if rapid.Bool().Draw(t, "settings") {
		settings.Context = map[string]any{"channel": "chat", "active": false, "x": map[string]any{"<": 1.5}}
		settings.Integrations = map[string]any{"All": false, "Amplitude": true}
	}
	if err := settings.encode(); err != nil {
		t.Fatal(err)
	}
	e := Event{
		Name:           rapid.SampledFrom(Names[:]).Draw(t, "name"),
		Timestamp:      extract.Time(rapid.Int64Range(0, 4e18).Draw(t, "ms") / 1e6 * 1e6),
		UserID:         text.Draw(t, "user"),
		AnonymousID:    text.Draw(t, "anonymous"),
		ConversationID: text.Filter(func(s string) bool { return s != "" }).Draw(t, "conversation"),
		MessageID:      text.Filter(func(s string) bool { return s != "" }).Draw(t, "message"),
		Agent:          Agent{ID: text.Draw(t, "agent"), Name: text.Draw(t, "agent name"), Username: text.Draw(t, "login")},
		Duration:       rapid.Int64Range(0, 1e9).Draw(t, "duration"),
		Body:           text.Draw(t, "body"),
		Settings:       settings,
	}
	copy(e.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	for _, key := range []string{"a", "b&c", "conversation_end_inferred", "message_count", "zz"} {
		if rapid.Bool().Draw(t, key) {
			e.Properties = append(e.Properties, Property{key, json.RawMessage(`17`)})
		}
	}
	return e
}

// track is what the Segment destination sends of an event.
func track(e *Event) analytics.Track {
	p := analytics.Properties{
		"conversation_id":       e.ConversationID,
		"conversation_duration": e.Duration,
		"message_id":            e.MessageID,
	}
	for key, value := range map[string]string{
		"agent_id": e.Agent.ID, "agent_name": e.Agent.Name, "agent_username": e.Agent.Username, "message_body": e.Body,
	} {
		if value != "" {
			p[key] = value
		}
	}
	for _, more := range e.Properties {
		p[more.Key] = more.Value
	}
	t := analytics.Track{
		Type: "track", MessageId: e.ID.String(), UserId: e.UserID, AnonymousId: e.AnonymousID,
		Event: e.Name.String(), Timestamp: e.Timestamp.Time(), Properties: p,
		Integrations: e.Settings.Integrations,
	}
	if e.Settings.Context != nil {
		t.Context = &analytics.Context{Extra: e.Settings.Context}
	}
	return t
}

func TestCanonicalJSON(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""}, {"null", ""}, {"1.50", "1.50"}, {`"a"`, `"a"`}, {`{"b": [1, 2], "a":"<"}`, `{"b":[1,2],"a":"\u003c"}`},
		{"\"\u2028\"", `"\u2028"`}, {"\"\xff\"", "\"\ufffd\""}, {"no <json>", `"no \u003cjson\u003e"`},
	} {
		if got := string(canonicalJSON(c.in)); got != c.want {
			t.Errorf("canonicalJSON(%q) = %s, want %s", c.in, got, c.want)
		}
	}
}

// Each byte in each place is left as it is, or replaced.
func TestReadable(t *testing.T) {
	for _, text := range []string{"abcdefg", "abcdefgh", "abcdefghijklmnopqrst"} {
		for c := range 256 {
			for place := range len(text) {
				before, after := text[:place], text[place+1:]
				want := before + string(rune(c)) + after
				if c == 0 || c >= utf8.RuneSelf {
					want = before + "\ufffd" + after
				}
				if got := readable(before + string([]byte{byte(c)}) + after); got != want {
					t.Fatalf("%q before %q: got %q", before, after, got)
				}
			}
		}
	}
}

// Each byte in each place of a word ends the plain prefix there or nowhere.
func TestPlainPrefix(t *testing.T) {
	for c := range 256 {
		for place := range 20 {
			s := []byte("abcdefghijklmnopqrst")
			s[place] = byte(c)
			want := len(s)
			if !plain[c] {
				want = place
			}
			if got := plainPrefix(string(s)); got != want {
				t.Fatalf("plainPrefix(%q) = %d, want %d", s, got, want)
			}
		}
	}
}
