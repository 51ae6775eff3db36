package extract

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func testConfig(dir string, files ...string) ParquetConfig {
	return ParquetConfig{
		Dir:      dir,
		Messages: []Set{{Files: files}},
		Tmp:      dir,
		Now:      func() time.Time { return testNow },
	}
}

// transcripts reads everything after a position.
func transcripts(t failer, p *Parquet, from Position) []Transcript {
	t.Helper()
	all, err := tryTranscripts(p, from)
	if err != nil {
		t.Fatalf("read transcripts: %v", err)
	}
	return all
}

func tryTranscripts(p *Parquet, from Position) ([]Transcript, error) {
	return readPass(p.Pass(Pass{}), from)
}

// readPass reads everything that a pass looks at after a position.
func readPass(p *ParquetPass, from Position) (all []Transcript, err error) {
	ctx := context.Background()
	r, err := p.Transcripts(ctx, from)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		page, err := r.Next(ctx)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, page.Transcripts...)
	}
}

func mustOpen(t failer, cfg ParquetConfig) *Parquet {
	t.Helper()
	p, err := OpenParquet(context.Background(), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return p
}

func TestParquetTranscripts(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	fields := append(append([]arrow.Field{}, plainFields...), column("score", arrow.PrimitiveTypes.Float64))
	writeParquet(t, filepath.Join(dir, "m/1.parquet"), fields, `[
		{"conversation_id": "a", "message_id": "1", "sent_at": "2024-03-01T10:00:00Z", "role": "customer", "author_id": "u", "body": "hello", "score": 0.5},
		{"conversation_id": "b", "message_id": "2", "sent_at": "never", "role": "customer", "body": "secret"},
		{"conversation_id": null, "message_id": "3", "sent_at": "2024-03-01T10:00:00Z", "role": "customer"},
		{"conversation_id": null, "message_id": "4", "role": "customer", "kind": "note"}]`, 2)
	writeParquet(t, filepath.Join(dir, "m/2.parquet"), plainFields[:5], `[
		{"conversation_id": "a", "message_id": "5", "sent_at": "2024-03-01T11:00:00Z", "role": "agent", "kind": "end"}]`, 1)
	writeParquet(t, filepath.Join(dir, "c.parquet"), []arrow.Field{column("id", text), column("closed", arrow.PrimitiveTypes.Int64)},
		`[{"id": "a", "closed": 1709290000}, {"id": "none", "closed": 1709290000}, {"id": "z", "closed": 5}]`, 1)

	cfg := testConfig(dir, "m")
	cfg.Extra = []ExtraField{{"score", Field{}}}
	cfg.Conversations = []Set{{Files: []string{"c.parquet"}, Fields: map[string]Field{"conversation_id": {Column: "id"}, "ended_at": {Column: "closed"}}}}
	cfg.KeepPayload = true
	p := mustOpen(t, cfg)
	if got := p.RowCount(); got != 5 {
		t.Errorf("got %d rows", got)
	}
	at := func(hour int) Time { return TimeOf(time.Date(2024, 3, 1, hour, 0, 0, 0, time.UTC)) }
	want := map[string]Transcript{
		"": {
			Messages: []Message{{Role: Customer, Kind: KindNote}},
			Rejects: []Reject{{Stage: StageRead, Reason: BadID, Set: "messages", Locator: "m/1.parquet: row group 1, row 2", MessageID: "3",
				Detail:  "conversation_id is missing",
				Payload: `{"author_id":null,"body":null,"conversation_id":null,"kind":null,"message_id":"3","role":"customer","score":null,"sent_at":"2024-03-01T10:00:00Z"}`}},
		},
		"a": {
			ConversationID: "a",
			Messages: []Message{
				{ConversationID: "a", MessageID: "1", SentAt: at(10), Role: Customer, Author: Person{ID: "u"}, Body: "hello", Extra: []string{"0.5"}},
				{ConversationID: "a", MessageID: "5", SentAt: at(11), Role: Agent, Kind: KindEnd, Extra: []string{""}, Origin: 1},
			},
			Conversations: []Conversation{{ConversationID: "a", EndedAt: Time(1709290000e9)}},
		},
		"b": {
			ConversationID: "b",
			Rejects: []Reject{{Stage: StageRead, Reason: BadTimestamp, Set: "messages", Locator: "m/1.parquet: row group 0, row 1", MessageID: "2", ConversationID: "b",
				Detail:  `sent_at: "never" is no time`,
				Payload: `{"author_id":null,"body":"secret","conversation_id":"b","kind":null,"message_id":"2","role":"customer","score":null,"sent_at":"never"}`}},
		},
		"z": {
			ConversationID: "z",
			Rejects: []Reject{{Stage: StageRead, Reason: BadTimestamp, Set: "conversations", Locator: "c.parquet: row group 2, row 2", ConversationID: "z",
				Detail: "ended_at: 5 is before 1990 or in the future", Payload: `{"closed":5,"id":"z"}`}},
		},
	}
	got := map[string]Transcript{}
	for _, tr := range transcripts(t, p, "") {
		sortMessages(tr.Messages)
		got[tr.ConversationID] = tr
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParquetDirectoryAndHorizon(t *testing.T) {
	dir := t.TempDir()
	writeParquet(t, filepath.Join(dir, "m.parquet"), plainFields, `[]`, 1)
	newest := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "m.parquet"), newest, newest); err != nil {
		t.Fatal(err)
	}
	writeParquet(t, filepath.Join(dir, "a.parquet"), []arrow.Field{
		column("id", arrow.PrimitiveTypes.Int64), column("name", text), column("login", text), column("changed_at", text)}, `[
		{"id": 1, "name": "Old", "changed_at": "2023-01-01"},
		{"id": 1, "name": "New", "login": "b", "changed_at": "2024-01-01"},
		{"id": 1, "name": "New", "login": "a", "changed_at": "2024-01-01"},
		{"id": 2, "name": "Zoe"},
		{"id": null, "name": "Nobody"}]`, 2)
	cfg := testConfig(dir, "m.parquet")
	cfg.Agents = []Set{{Files: []string{"a.parquet"}, Fields: map[string]Field{"username": {Column: "login"}}}}
	p := mustOpen(t, cfg)
	got, err := p.Directory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]DirectoryAgent{
		"1": {Person{"1", "New", "b"}, TimeOf(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))},
		"2": {Person{"2", "Zoe", ""}, 0},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if r := p.DirectoryRejects(); len(r) != 1 || r[0].Reason != BadID || r[0].Set != SetAgents || r[0].Detail != "id is missing" {
		t.Errorf("got rejects %+v", r)
	}
	if got := p.Horizon().Time(); !got.Equal(newest) {
		t.Errorf("got horizon %s", got)
	}
	if got := transcripts(t, p, ""); len(got) != 0 {
		t.Errorf("got %d transcripts of no rows", len(got))
	}
}

func TestOpenParquetReportsAllMistakes(t *testing.T) {
	dir := t.TempDir()
	writeParquet(t, filepath.Join(dir, "m.parquet"), []arrow.Field{column("chat_id", text), column("author_type", text)}, `[]`, 1)
	if err := os.WriteFile(filepath.Join(dir, "bad.parquet"), []byte("PAR1 no footer here"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := OpenParquet(context.Background(), ParquetConfig{
		Dir: dir,
		Messages: []Set{
			{Name: "first", Files: []string{"m.parquet"}, Where: "x", Fields: map[string]Field{"conversation_id": {Column: "chat_id"}, "role": {Column: "author_typ"}}},
			{Files: []string{"bad.parquet", "none"}},
		},
		Conversations: []Set{{Table: "t"}},
	})
	want := []string{
		"messages[0] (first).sent_at: the field is required, and m.parquet has no column of that name",
		"messages[0] (first).role: there is no column author_typ in m.parquet",
		"messages[0] (first).where: there is no column x in m.parquet (expression, at 1:1)",
		"read none: there is no such file or folder",
		"read bad.parquet: it does not end with PAR1: it was cut off, or is still being written",
		"conversations: table is not available for this source",
		"conversations: files is missing",
	}
	if err == nil {
		t.Fatal("there is no error")
	}
	if d := cmp.Diff(strings.Join(want, "\n"), err.Error()); d != "" {
		t.Error(d)
	}
	var m *MappingError
	var f *FileError
	if !errors.As(err, &m) || !errors.As(err, &f) {
		t.Error("the errors are not typed")
	}
}

func TestParquetColumnsThatSomeFilesLack(t *testing.T) {
	dir := t.TempDir()
	writeParquet(t, filepath.Join(dir, "1.parquet"), plainFields[:4],
		`[{"conversation_id": "a", "sent_at": "2024-03-01", "role": "customer"}]`, 1)
	writeParquet(t, filepath.Join(dir, "2.parquet"), append([]arrow.Field{column("text", text)}, plainFields[:4]...),
		`[{"conversation_id": "a", "sent_at": "2024-03-02", "role": "customer", "text": "x"}]`, 1)
	cfg := testConfig(dir, "*.parquet")
	cfg.Messages[0].Fields = map[string]Field{"body": {Column: "text"}, "kind": {Column: "nowhere", Optional: true}}
	all := transcripts(t, mustOpen(t, cfg), "")
	if len(all) != 1 || len(all[0].Messages) != 2 {
		t.Fatalf("got %+v", all)
	}
	sortMessages(all[0].Messages)
	if got := all[0].Messages; got[0].Body != "" || got[1].Body != "x" || got[0].Origin == got[1].Origin {
		t.Errorf("got %+v", got)
	}
}

func TestParquetChangedFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.parquet")
	writeParquet(t, path, plainFields, `[{"conversation_id": "a", "sent_at": "2024-03-01", "role": "customer"}]`, 1)
	p := mustOpen(t, testConfig(dir, "m.parquet"))
	if err := os.Chtimes(path, testNow, testNow); err != nil {
		t.Fatal(err)
	}
	_, err := tryTranscripts(p, "")
	var changed *ChangedError
	if !errors.Is(err, ErrChanged) || !errors.As(err, &changed) || changed.Path != "m.parquet" {
		t.Errorf("got error %v", err)
	}
}

func TestParquetCancel(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	writeParquet(t, filepath.Join(dir, "m.parquet"), plainFields, `[{"conversation_id": "a", "sent_at": "2024-03-01", "role": "customer"}]`, 1)
	p := mustOpen(t, testConfig(dir, "m.parquet"))
	r, err := p.Transcripts(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
