package extract

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestWhere(t *testing.T) {
	dir := t.TempDir()
	fields := append([]arrow.Field{column("inbox", arrow.PrimitiveTypes.Int64), column("deleted_at", text)}, plainFields...)
	writeParquet(t, filepath.Join(dir, "m.parquet"), fields, `[
		{"conversation_id": "a", "message_id": "1", "sent_at": "2024-03-01", "role": "customer", "inbox": 1},
		{"conversation_id": "a", "message_id": "2", "sent_at": "2024-03-01", "role": "customer", "inbox": 2},
		{"conversation_id": "a", "message_id": "3", "sent_at": "never", "role": "customer", "inbox": 2},
		{"conversation_id": "a", "message_id": "4", "sent_at": "never", "role": "customer", "inbox": 3},
		{"conversation_id": "b", "message_id": "5", "sent_at": "2024-03-01", "role": "customer", "inbox": 3, "deleted_at": "2024-03-02"},
		{"conversation_id": "c", "message_id": "6", "sent_at": "2024-03-01", "role": "customer", "inbox": null},
		{"conversation_id": null, "message_id": "7", "sent_at": "2024-03-01", "role": "customer", "inbox": 2},
		{"conversation_id": "x\u001f", "message_id": "8", "sent_at": "2024-03-01", "role": "customer", "inbox": 2},
		{"conversation_id": null, "message_id": "9", "sent_at": "2024-03-01", "role": "customer", "inbox": 1}]`, 2)
	writeParquet(t, filepath.Join(dir, "c.parquet"), []arrow.Field{column("conversation_id", text), column("user_id", text), column("test", arrow.FixedWidthTypes.Boolean)}, `[
		{"conversation_id": "a", "user_id": "u", "test": false}, {"conversation_id": "a", "user_id": "v", "test": true}, {"conversation_id": null, "test": true},
		{"conversation_id": "a", "user_id": "w", "test": null}]`, 2)
	writeParquet(t, filepath.Join(dir, "a.parquet"), []arrow.Field{column("id", text), column("name", text)}, `[
		{"id": "1", "name": "Ann"}, {"id": "2", "name": "bot"}, {"id": null, "name": "bot"}]`, 2)
	cfg := testConfig(dir, "m.parquet")
	cfg.Messages[0].Where = "deleted_at == nil && inbox in [1, 3]"
	cfg.Conversations = []Set{{Files: []string{"c.parquet"}, Where: "not test", Fields: map[string]Field{"user_id": {}}}}
	cfg.Agents = []Set{{Files: []string{"a.parquet"}, Where: `name != "bot"`}}
	p := mustOpen(t, cfg)
	p.unpruned = true
	all := transcripts(t, p, "")
	want := []string{
		" filtered 2",
		" reject bad_id m.parquet: row group 4, row 8, conversation_id is missing, 9",
		"a 1 2024-03-01T00:00:00Z customer message : ",
		"a filtered 2",
		`a reject bad_timestamp m.parquet: row group 1, row 3, sent_at: "never" is no time, 4`,
		"b filtered 1",
		"c filtered 1",
	}
	if d := cmp.Diff(want, lines(all)); d != "" {
		t.Error(d)
	}
	rows := 0
	for _, tr := range all {
		rows += tr.Rows()
		var users []string
		for _, c := range tr.Conversations {
			users = append(users, c.UserID)
		}
		if tr.ConversationID == "a" && !slices.Equal(users, []string{"u", "w"}) {
			t.Errorf("got users %q", users)
		}
	}
	if int64(rows) != p.RowCount() {
		t.Errorf("got %d of %d rows", rows, p.RowCount())
	}
	agents, err := p.Directory(context.Background())
	if err != nil || len(agents) != 1 || len(p.DirectoryRejects()) != 0 {
		t.Errorf("got agents %v, %v, %v", agents, err, p.DirectoryRejects())
	}
}

func TestWhereFails(t *testing.T) {
	dir := t.TempDir()
	writeParquet(t, filepath.Join(dir, "m.parquet"), plainFields, `[{"conversation_id": "a", "sent_at": "2024-03-01", "role": "customer", "body": "secret"}]`, 1)
	cfg := testConfig(dir, "m.parquet")
	cfg.Messages[0].Where = "int(body) > 3"
	want := []string{"a reject bad_value m.parquet: row group 0, row 0, where: the expression fails at 1:1: it cannot be evaluated over this row's values, "}
	if d := cmp.Diff(want, lines(transcripts(t, mustOpen(t, cfg), ""))); d != "" {
		t.Error(d)
	}
}

// TestFilteredAddUp holds for any rows, however they are spread and read: what
// where leaves out is counted with its conversation.
func TestFilteredAddUp(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		rows := append([]genRow{}, rapid.SliceOfN(genRowValues, 1, 60).Draw(t, "rows")...)
		writeParquet(t, filepath.Join(dir, "m.parquet"), plainFields, mustJSON(t, rows), int64(rapid.IntRange(1, 20).Draw(t, "rows in a group")))
		cfg := testConfig(dir, "m.parquet")
		cfg.Messages[0].Where = `role != "agent"`
		cfg.Memory = rapid.SampledFrom([]int64{1 << 14, 1 << 24}).Draw(t, "memory")
		p := mustOpen(t, cfg)
		p.single, p.unpruned = 1<<30, true
		var kept []genRow
		filtered := map[string]int{}
		for _, r := range rows {
			if r.Role == "agent" {
				id := *r.Conversation
				if strings.Contains(id, "\x1f") {
					id = ""
				}
				filtered[id]++
			} else {
				kept = append(kept, r)
			}
		}
		got := transcripts(t, p, "")
		for _, tr := range got {
			if tr.Filtered != filtered[tr.ConversationID] {
				t.Fatalf("conversation %q: got %d filtered rows, want %d", tr.ConversationID, tr.Filtered, filtered[tr.ConversationID])
			}
			delete(filtered, tr.ConversationID)
		}
		if len(filtered) > 0 {
			t.Fatalf("not told: %v", filtered)
		}
		got = slices.DeleteFunc(got, func(t Transcript) bool { return t.Rows() == t.Filtered })
		if d := cmp.Diff(expectAll(kept), renderAll(got)); d != "" {
			t.Fatalf("%s", d)
		}
	})
}

func TestLookups(t *testing.T) {
	dir := t.TempDir()
	writeParquet(t, filepath.Join(dir, "m.parquet"), append([]arrow.Field{column("contact_id", arrow.PrimitiveTypes.Int64)}, plainFields...), `[
		{"conversation_id": "a", "sent_at": "2024-03-01", "role": "customer", "contact_id": 7},
		{"conversation_id": "b", "sent_at": "2024-03-01", "role": "customer", "contact_id": 8},
		{"conversation_id": "c", "sent_at": "2024-03-01", "role": "customer", "contact_id": 9},
		{"conversation_id": "d", "sent_at": "2024-03-01", "role": "customer", "contact_id": null}]`, 1)
	contacts := []arrow.Field{column("id", text), column("identifier", text), column("kind", text), column("unused", text), column("address", arrow.StructOf(column("city", text)))}
	writeParquet(t, filepath.Join(dir, "c1.parquet"), contacts, `[
		{"id": "7", "identifier": "ada", "kind": "lead", "unused": "x"}, {"id": "8", "identifier": "bob", "address": {"city": "Ulm"}}, {"id": null, "identifier": "nobody"},
		{"id": "9", "identifier": "test", "kind": "test"}]`, 1)
	writeParquet(t, filepath.Join(dir, "c2.parquet"), contacts, `[{"id": "7", "identifier": "ada2", "unused": "w"}]`, 1)
	cfg := testConfig(dir, "m.parquet")
	cfg.Messages[0].Fields = map[string]Field{
		"user_id": {Expr: `lookup("contacts", contact_id)?.identifier`},
		"body":    {Expr: `lookup("contacts", contact_id)?.address?.city ?? lookup("contacts", contact_id)?.title`},
	}
	spec := Lookup{Key: "id", Set: Set{Files: []string{"c1.parquet", "c2.parquet"}, Where: `kind != "test"`,
		Fields: map[string]Field{"title": {Column: "kind", Values: map[string]string{"lead": "Lead"}, Default: ptr("none")}}}}
	for _, files := range [][]string{{"c1.parquet", "c2.parquet"}, {"c2.parquet", "c1.parquet"}} {
		spec.Files = files
		cfg.Lookups = map[string]Lookup{"contacts": spec, "unused": {Key: "id", Set: Set{Files: []string{"c1.parquet"}}}}
		p := mustOpen(t, cfg)
		var got []string
		for _, tr := range transcripts(t, p, "") {
			for _, m := range tr.Messages {
				got = append(got, m.ConversationID+" "+m.UserID+" "+m.Body)
			}
		}
		slices.Sort(got)
		if d := cmp.Diff([]string{"a ada2 none", "b bob Ulm", "c  ", "d  "}, got); d != "" {
			t.Error(d)
		}
		for _, f := range p.lookups[:2] {
			for _, col := range f.mapping.Columns {
				if col.Name == "unused" {
					t.Error("a column is read that nothing uses")
				}
			}
		}
	}
}

func TestLookupMistakes(t *testing.T) {
	dir := t.TempDir()
	writeParquet(t, filepath.Join(dir, "m.parquet"), plainFields, `[{"conversation_id": "a", "sent_at": "2024-03-01", "role": "customer", "body": "x"}]`, 1)
	for _, c := range []struct {
		lookup Lookup
		expr   string
		want   string
	}{
		{Lookup{Set: Set{Files: []string{"m.parquet"}}, Key: "ident"}, "body", "lookups.l.key: there is no column ident in m.parquet"},
		{Lookup{Set: Set{Files: []string{"m.parquet"}}}, "body", "lookups.l.key: there is no column key in m.parquet"},
		{Lookup{Set: Set{Files: []string{"m.parquet"}, Where: "bdy == nil"}, Key: "body"}, "body", "lookups.l.where: there is no column bdy in m.parquet (expression, at 1:1)"},
		{Lookup{Set: Set{Files: []string{"m.parquet"}, Where: `lookup("l", body) == nil`}, Key: "body"}, "body", "lookups.l.where: there is no lookup l (expression, at 1:8)"},
		{Lookup{Set: Set{Files: []string{"m.parquet"}, Where: "int(body) > 3"}, Key: "body"}, "body",
			"lookups.l: where: the expression fails at 1:1: it cannot be evaluated over this row's values"},
		{Lookup{Set: Set{Files: []string{"m.parquet"}, Fields: map[string]Field{"a": {Column: "bdy"}}}, Key: "body"}, "body", "lookups.l.fields.a: there is no column bdy in m.parquet"},
		{Lookup{Set: Set{Table: "t"}, Key: "body"}, "body", "lookups.l: table is not available for this source\nlookups.l: files is missing"},
	} {
		cfg := testConfig(dir, "m.parquet")
		cfg.Messages[0].Fields = map[string]Field{"author_name": {Expr: c.expr}}
		cfg.Lookups = map[string]Lookup{"l": c.lookup}
		if _, err := OpenParquet(context.Background(), cfg); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestLookupTooLarge(t *testing.T) {
	dir := t.TempDir()
	var rows []string
	for i := range 300 {
		rows = append(rows, fmt.Sprintf(`{"conversation_id": "%d", "body": "%s"}`, i, strings.Repeat("x", 1000)))
	}
	writeParquet(t, filepath.Join(dir, "l.parquet"), plainFields, "["+strings.Join(rows, ",")+"]", 100)
	writeParquet(t, filepath.Join(dir, "m.parquet"), plainFields, `[]`, 1)
	cfg := testConfig(dir, "m.parquet")
	cfg.Memory = 200_000
	cfg.Lookups = map[string]Lookup{"l": {Key: "conversation_id", Set: Set{Files: []string{"l.parquet"}}}}
	cfg.Messages[0].Fields = map[string]Field{"body": {Expr: `lookup("l", conversation_id)?.body`}}
	var m *MappingError
	if _, err := OpenParquet(context.Background(), cfg); !errors.As(err, &m) || m.Error() != "lookups.l: its rows take more than the 200000 bytes that memory allows" {
		t.Errorf("got %v", err)
	}
	cfg.Messages[0].Fields = map[string]Field{"body": {Expr: `lookup("l", conversation_id)?.role`}}
	mustOpen(t, cfg) // without the large column it fits
}

func TestPathColumns(t *testing.T) {
	dir := t.TempDir()
	row := `[{"conversation_id": "%s", "sent_at": "2024-03-01", "role": "customer", "kind": "message"}]`
	for id, folder := range map[string]string{"a": "year=2024/brand=A%20%2F%20B", "b": "year=2023/brand=__HIVE_DEFAULT_PARTITION__", "c": "year=2024/role=agent"} {
		writeParquet(t, filepath.Join(dir, "m", filepath.FromSlash(folder), "part-0.parquet"), plainFields, fmt.Sprintf(row, id), 1)
	}
	cfg := testConfig(dir, "m")
	cfg.Messages[0].Where = `year == "2024"`
	cfg.Messages[0].Fields = map[string]Field{"body": {Column: "brand", Default: ptr("none")}, "author_id": {Column: "year", Prefix: "y"}}
	want := []string{
		" filtered 1", // b's: its file is not read
		"a  2024-03-01T00:00:00Z customer message y2024: A / B",
		"c  2024-03-01T00:00:00Z customer message y2024: none", // the file's own column role counts
	}
	if d := cmp.Diff(want, lines(transcripts(t, mustOpen(t, cfg), ""))); d != "" {
		t.Error(d)
	}
}

// TestStrays holds however goroutines are scheduled: of rows that belong to no
// conversation the first ones are told one by one, the others by their number.
func TestStrays(t *testing.T) {
	dir := t.TempDir()
	rows := make([]map[string]any, 6000)
	for i := range rows {
		rows[i] = map[string]any{"message_id": fmt.Sprint(i), "sent_at": "2024-03-01", "role": "customer"}
	}
	for _, name := range []string{"1", "2"} {
		writeParquet(t, filepath.Join(dir, name+".parquet"), plainFields, mustJSON(t, rows), 500)
	}
	cfg := testConfig(dir, "1.parquet", "2.parquet")
	var first []Reject
	for range 2 {
		p := mustOpen(t, cfg)
		p.workers = 4
		all := transcripts(t, p, "")
		if len(all) != 1 || all[0].Rows() != 12000 || len(all[0].Rejects) != maxStrays+1 {
			t.Fatalf("got %d transcripts, %d rows, %d rejects", len(all), all[0].Rows(), len(all[0].Rejects))
		}
		i := slices.IndexFunc(all[0].Rejects, func(r Reject) bool { return r.Rows > 0 })
		want := Reject{Stage: StageRead, Reason: BadID, Set: SetMessages, Locator: "2.parquet: further rows", Rows: 2000,
			Detail: "2000 further rows of the file that belong to no conversation"}
		if d := cmp.Diff(want, all[0].Rejects[i]); d != "" {
			t.Error(d)
		}
		if first == nil {
			first = all[0].Rejects
		} else if d := cmp.Diff(first, all[0].Rejects); d != "" {
			t.Error(d)
		}
	}
}
