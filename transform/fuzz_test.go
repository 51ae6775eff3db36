package transform

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/chatbackfill/chatbackfill/extract"
)

// FuzzBuild decodes bytes into options and a transcript, with any text in its
// fields: Build does not panic, the outcomes add up, and every event is valid
// JSON and UTF-8 of at most 32,000 bytes that says what its Event says.
func FuzzBuild(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(checkBuild))
}

func TestBuildAnything(t *testing.T) { rapid.Check(t, checkBuild) }

func checkBuild(t *rapid.T) {
	o := drawOptions(t)
	tr, known := drawTranscript(t, len(o.Extra)), drawKnown(t)
	text := rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) })
	for i := range tr.Messages {
		m := &tr.Messages[i]
		for _, field := range []*string{&m.MessageID, &m.Author.ID, &m.Author.Name, &m.Agent.ID, &m.Agent.Username, &m.UserID, &m.AnonymousID, &m.Body} {
			if rarely(t, "any text") {
				*field = text.Draw(t, "text")
			}
		}
		if rarely(t, "any time") {
			m.SentAt = extract.Time(rapid.Int64().Draw(t, "time"))
		}
	}
	b, err := NewBuilder(o)
	if err != nil {
		t.Fatal(err)
	}
	tally := NewTally()
	c := b.Build(tr, known, &tally)
	if n := tally.RowCount(); n != tr.Rows() {
		t.Fatalf("outcomes of %d rows, of %d", n, tr.Rows())
	}
	for i := range c.Events {
		e := &c.Events[i]
		if !json.Valid(e.JSON) || !utf8.Valid(e.JSON) || len(e.JSON) > MaxEventBytes {
			t.Fatalf("event of %d bytes: %s", len(e.JSON), e.JSON)
		}
		want, err := json.Marshal(track(e))
		if err != nil || string(want) != string(e.JSON) {
			t.Fatalf("event\n got %s\nwant %s\n%v", e.JSON, want, err)
		}
	}
}
