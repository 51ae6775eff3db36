package extract

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func sortMessages(messages []Message) {
	slices.SortFunc(messages, func(a, b Message) int {
		return cmp.Or(cmp.Compare(a.SentAt, b.SentAt), strings.Compare(a.MessageID, b.MessageID),
			cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Body, b.Body), cmp.Compare(a.Role, b.Role))
	})
}

// genRow is a row of messages as the property test makes it.
type genRow struct {
	Conversation *string `json:"conversation_id"`
	Message      string  `json:"message_id"`
	SentAt       string  `json:"sent_at"`
	Role         string  `json:"role"`
	Kind         string  `json:"kind"`
	Author       string  `json:"author_id"`
	Body         string  `json:"body"`
}

var genRowValues = rapid.Custom(func(t *rapid.T) genRow {
	id := rapid.OneOf(
		rapid.Map(rapid.IntRange(0, 40), func(i int) string { return fmt.Sprint("conv-", i) }),
		rapid.Just("busy"), rapid.Just(""), rapid.Just("bad\x1fid"),
	).Draw(t, "conversation")
	return genRow{
		Conversation: &id,
		Message:      fmt.Sprint(rapid.IntRange(0, 99).Draw(t, "message")),
		SentAt:       rapid.SampledFrom([]string{"2024-03-01", "2024-03-02T10:00:00Z", "never"}).Draw(t, "sent"),
		Role:         rapid.SampledFrom([]string{"customer", "agent", "bot", "system", "?"}).Draw(t, "role"),
		Kind:         rapid.SampledFrom([]string{"message", "end", "note"}).Draw(t, "kind"),
		Author:       "author",
		Body:         strings.Repeat("x", rapid.IntRange(0, 300).Draw(t, "body")),
	}
})

// expect is what a row should become: the conversation it belongs to and a
// line that tells all that matters.
func (r genRow) expect() (conversation, line string) {
	conversation = *r.Conversation
	if strings.Contains(conversation, "\x1f") {
		conversation = ""
	}
	switch {
	case r.Kind == "note":
		return conversation, "note"
	case r.Role == "system" && r.Kind == "message":
		return conversation, "system"
	case r.Role == "?":
		return conversation, "reject unknown_role " + r.Message
	case conversation == "":
		return "", "reject bad_id " + r.Message
	case r.SentAt == "never":
		return conversation, "reject bad_timestamp " + r.Message
	}
	return conversation, fmt.Sprintf("%s %s %s %d %s", r.Message, r.Role, r.Kind, len(r.Body), r.SentAt[:10])
}

// render gives a transcript's rows as expect does.
func render(t Transcript) (lines []string) {
	for _, m := range t.Messages {
		line := Ignored(m.Kind, m.Role)
		if line == "" {
			line = fmt.Sprintf("%s %s %s %d %s", m.MessageID, m.Role, m.Kind, len(m.Body), m.SentAt.String()[:10])
		}
		lines = append(lines, line)
	}
	for _, r := range t.Rejects {
		lines = append(lines, fmt.Sprintf("reject %s %s", r.Reason, r.MessageID))
	}
	slices.Sort(lines)
	return lines
}

type rendered struct {
	ID    string
	Lines []string
}

func renderAll(transcripts []Transcript) (out []rendered) {
	for _, t := range transcripts {
		out = append(out, rendered{t.ConversationID, render(t)})
	}
	return out
}

func expectAll(rows []genRow) (out []rendered) {
	byID := map[string][]string{}
	for _, r := range rows {
		id, line := r.expect()
		byID[id] = append(byID[id], line)
	}
	for id, lines := range byID {
		slices.Sort(lines)
		out = append(out, rendered{id, lines})
	}
	slices.SortFunc(out, func(a, b rendered) int { return pointOf(a.ID).compare(pointOf(b.ID)) })
	return out
}

// TestGrouping holds for any rows, split into files in any way and read with
// any memory: the transcripts are those of the rows, in the order of their
// positions, and reading from a position gives those after it.
func TestGrouping(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	base := t.TempDir()
	runs := 0
	spilled, packed, split := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := filepath.Join(base, fmt.Sprint(runs))
		defer os.RemoveAll(dir)
		few := rapid.SampledFrom([]int{1, 250}).Draw(t, "rows at least")
		rows := rapid.SliceOfN(genRowValues, few, 400).Draw(t, "rows")
		for i, rest := 0, rows; len(rest) > 0; i++ {
			n := rapid.IntRange(1, len(rest)).Draw(t, "rows of file")
			data, err := json.Marshal(rest[:n])
			if err != nil {
				t.Fatalf("encode rows: %v", err)
			}
			groupRows := rapid.Int64Range(1+int64(n)/4, int64(n)+1).Draw(t, "rows of group")
			writeParquet(t, filepath.Join(dir, fmt.Sprintf("m%d.parquet", i)), plainFields, string(data), groupRows)
			rest = rest[n:]
		}
		cfg := testConfig(dir, "*.parquet")
		cfg.Memory = rapid.SampledFrom([]int64{4 << 10, 32 << 10, 256 << 20}).Draw(t, "memory")
		p := mustOpen(t, cfg)
		p.single = 1 << 30
		p.workers = rapid.IntRange(1, 3).Draw(t, "workers")
		p.pageRows = rapid.SampledFrom([]int{1, 10, 10000}).Draw(t, "rows of page")

		want := expectAll(rows)
		r, err := p.Transcripts(t.Context(), "")
		if err != nil {
			t.Fatalf("start: %v", err)
		}
		got, tooLarge := drain(t, r)
		if tooLarge {
			split++
		}
		switch {
		case r.spill.end.Load() == 0:
		case r.spill.plain:
			spilled++
		default:
			packed++
		}
		if err := r.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		if d := gocmp.Diff(want, renderAll(got)); d != "" {
			t.Fatalf("transcripts differ: %s", d)
		}
		i := rapid.IntRange(0, len(want)-1).Draw(t, "resume after")
		resumed := renderAll(transcripts(t, p, p.After(want[i].ID)))
		if d := gocmp.Diff(want[i+1:], resumed, cmpEmpty); d != "" {
			t.Fatalf("transcripts after %q differ: %s", want[i].ID, d)
		}
	})
	t.Logf("%d of %d with temporary files, %d with compressed ones, %d with split partitions", spilled, runs, packed, split)
	if spilled == 0 || packed == 0 || split == 0 {
		t.Error("all should occur")
	}
}

var cmpEmpty = gocmp.Transformer("empty", func(r []rendered) []rendered {
	if r == nil {
		return []rendered{}
	}
	return r
})

// drain reads everything and says whether a partition was too large to load.
func drain(t *rapid.T, r *Reader) (all []Transcript, tooLarge bool) {
	if err := r.group(t.Context()); err != nil {
		t.Fatalf("group: %v", err)
	}
	r.grouped = true
	for _, p := range r.pending {
		tooLarge = tooLarge || p.store.tooLarge(p.part)
	}
	r.lookAhead()
	for {
		page, err := r.Next(t.Context())
		if err != nil {
			if err.Error() != "EOF" {
				t.Fatalf("next: %v", err)
			}
			return all, tooLarge
		}
		all = append(all, page.Transcripts...)
	}
}

func TestOneHashOfSeveralConversations(t *testing.T) {
	var e encoder
	l := &loaded{blocks: make([][]byte, 1)}
	for i, id := range []string{"b", "a", "b", "c", "a"} {
		record, err := e.message(point{7, id}, &Message{MessageID: fmt.Sprint(i), SentAt: 1, Role: Bot})
		if err != nil {
			t.Fatal(err)
		}
		l.entries = append(l.entries, entry{7, 0, uint32(len(l.blocks[0]))})
		l.blocks[0] = append(l.blocks[0], record...)
	}
	r := &Reader{source: &Parquet{pageRows: 100}, current: l}
	want := []rendered{
		{"a", []string{"1 bot message 0 1970-01-01", "4 bot message 0 1970-01-01"}},
		{"b", []string{"0 bot message 0 1970-01-01", "2 bot message 0 1970-01-01"}},
		{"c", []string{"3 bot message 0 1970-01-01"}},
	}
	if d := gocmp.Diff(want, renderAll(r.page().Transcripts)); d != "" {
		t.Error(d)
	}
}

func TestTooLargeConversation(t *testing.T) {
	dir := t.TempDir()
	var rows []genRow
	big, small := "big", "small"
	for i := range 400 {
		row := genRow{&big, fmt.Sprint(i), "2024-03-01", "customer", "message", "u", strings.Repeat("y", 300)}
		if i%100 == 0 {
			row.Conversation = &small
		}
		if i == 1 {
			row.SentAt = "never"
		}
		rows = append(rows, row)
	}
	data, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	writeParquet(t, filepath.Join(dir, "m.parquet"), plainFields, string(data), 100)
	cfg := testConfig(dir, "m.parquet")
	cfg.Memory = 128 << 10
	for _, tr := range transcripts(t, mustOpen(t, cfg), "") {
		reasons := map[Reason]int{}
		for _, r := range tr.Rejects {
			reasons[r.Reason] += r.RowCount()
			if strings.Contains(r.Detail, "yyy") {
				t.Fatalf("a body in %q", r.Detail)
			}
		}
		want := map[Reason]int{}
		if tr.ConversationID == "big" {
			want = map[Reason]int{TooMuch: 395, BadTimestamp: 1}
		}
		if d := gocmp.Diff(want, reasons); d != "" || tr.Rows() != map[string]int{"big": 396, "small": 4}[tr.ConversationID] {
			t.Errorf("%s: %d rows, %s", tr.ConversationID, tr.Rows(), d)
		}
	}
}

func TestCodec(t *testing.T) {
	full := Message{
		ConversationID: "c", MessageID: "m", SentAt: -5, ChangedAt: math.MaxInt64, Role: System, Kind: KindIgnore,
		Author: Person{"1", "2", "3"}, Agent: Person{"4", "5", "6"}, Body: strings.Repeat("b", 300), UserID: "7", AnonymousID: "8",
		Sequence: Sequence{-1, .5}, Deleted: true, Extra: []string{"", "1"}, Origin: 300,
	}
	var e encoder
	for _, want := range []Message{full, {ConversationID: "c", Role: Customer}} {
		record, err := e.message(pointOf("c"), &want)
		if err != nil {
			t.Fatal(err)
		}
		d, id := decodeRecord(record)
		var got Message
		d.message(id, &got)
		if diff := gocmp.Diff(want, got); diff != "" || len(d.rest) != 0 {
			t.Errorf("%d bytes left, %s", len(d.rest), diff)
		}
	}
}

func TestStoreCountsMemory(t *testing.T) {
	spill := &spillFile{parent: t.TempDir()}
	defer spill.close()
	used := &atomic.Int64{}
	s := newStore(limits{budget: 2000, block: 600, load: 1 << 20}, 0, 1, used, spill)
	w := s.writer()
	var e encoder
	for i := range 100 {
		id := fmt.Sprint("c", i)
		record, err := e.message(pointOf(id), &Message{ConversationID: id, Body: strings.Repeat("x", 50)})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.append(record); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if got := used.Load(); got == 0 || got > 2000 {
		t.Errorf("%d bytes are kept of a budget of 2000", got)
	}
	rows := 0
	for i := range s.parts {
		l, err := s.load(&s.parts[i])
		if err != nil {
			t.Fatal(err)
		}
		rows += len(l.entries)
	}
	if rows != 100 || used.Load() != 0 || spill.end.Load() == 0 {
		t.Errorf("%d rows, %d bytes in use, %d in the file", rows, used.Load(), spill.end.Load())
	}
}
