//go:build unix

package extract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// anyRow draws a row of plainFields; nil is NULL.
func anyRow(ids []string) *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		row := map[string]any{}
		for _, column := range [][]string{
			append([]string{"conversation_id"}, ids...),
			{"message_id", "", "1", "2", "m\x1fx"},
			{"sent_at", "2025-01-01T00:00:00Z", "2025-05-31 23:59:59.999999+00", "2025-01-01", "1700000000", "soon", ""},
			{"role", "customer", "agent", "system", "robot"},
			{"kind", "message", "note", "end", "other"},
			{"author_id", "", "7", "ä"},
			{"body", "", "hello", "line\nbreak \" \\ '", "日本"},
		} {
			if i := rapid.IntRange(0, len(column)-1).Draw(t, column[0]); i > 0 {
				row[column[0]] = column[i]
			}
		}
		return row
	})
}

// plain leaves out of transcripts what differs between sources of the same rows.
func plain(all []Transcript) []Transcript {
	all = sorted(all)
	for i := range all {
		for j := range all[i].Messages {
			m := &all[i].Messages[j]
			m.Origin, m.Extra = 0, nil
		}
		slices.SortFunc(all[i].Messages, func(a, b Message) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		all[i].Rejects = slices.Clone(all[i].Rejects)
		for j := range all[i].Rejects {
			all[i].Rejects[j].Locator = ""
		}
		slices.SortFunc(all[i].Rejects, func(a, b Reject) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return all
}

var somePGIDs = []string{"", "a", "A", "Ä", "ä", "b-1", "b_1", "ab", "1", "10", "2", "c\x1fd", `q"\',{}`, "NULL"}

// TestPostgresLikeParquet holds transcripts of any rows equal to those of a
// Parquet file with the same rows, for any page size, from any position, in a
// full pass over a table and a pass that lists the ids first.
func TestPostgresLikeParquet(t *testing.T) {
	dsn := postgrestest.New(t)
	columns := []string{"conversation_id", "message_id", "sent_at", "role", "kind", "author_id", "body"}
	pgExec(t, dsn, `CREATE TABLE messages (`+strings.Join(columns, ` text, `)+` text)`)
	conn := pgConnect(t, dsn)
	open := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Page: 1})
	queried := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Query: "SELECT * FROM messages -- all of it"}}, Page: 1})
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(anyRow(somePGIDs), 1, 20).Draw(t, "rows")
		want := plain(readParquetRows(t, dir, rows))
		insertRows(t, conn, columns, rows)
		p := open
		if rapid.Bool().Draw(t, "query") {
			p = queried
		}
		p.cfg.Page = rapid.IntRange(1, 5).Draw(t, "page")
		pass := pgFull(p)
		got := pgPages(t, pass, "")
		if diff := cmp.Diff(want, plain(oneStray(got))); diff != "" {
			t.Fatalf("read whole: %s", diff)
		}
		at := rapid.IntRange(0, len(got)-1).Draw(t, "position")
		if got[at].ConversationID == "" {
			return
		}
		rest := pgPages(t, pass, pass.After(got[at].ConversationID))
		if diff := cmp.Diff(conversationsOf(got[at+1:]), conversationsOf(rest)); diff != "" {
			t.Fatalf("read on after %q: %s", got[at].ConversationID, diff)
		}
		if n := strayCount(got[:at+1]) + strayCount(rest); n < strayCount(got) {
			t.Fatalf("read on after %q: %d of the %d rows of no conversation are missing", got[at].ConversationID, strayCount(got)-n, strayCount(got))
		}
	})
}

// conversationsOf are transcripts without the rows of no conversation.
func conversationsOf(all []Transcript) (out []Transcript) {
	for _, t := range plain(all) {
		if t.ConversationID != "" {
			out = append(out, t)
		}
	}
	return out
}

func strayCount(all []Transcript) (n int) {
	for _, t := range all {
		if t.ConversationID == "" {
			n += t.Rows()
		}
	}
	return n
}

// oneStray puts the rows of no conversation together: those with a bad id come
// with the page of that id.
func oneStray(all []Transcript) (out []Transcript) {
	var stray Transcript
	for _, t := range all {
		if t.ConversationID != "" {
			out = append(out, t)
			continue
		}
		stray.Messages = append(stray.Messages, t.Messages...)
		stray.Rejects = append(stray.Rejects, t.Rejects...)
	}
	if stray.Rows() > 0 {
		out = append(out, stray)
	}
	return out
}

func readParquetRows(t *rapid.T, dir string, rows []map[string]any) (all []Transcript) {
	text, err := json.Marshal(rows)
	if err != nil {
		t.Fatalf("make rows: %v", err)
	}
	path := filepath.Join(dir, "rows.parquet")
	writeParquet(t, path, plainFields, string(text), 3)
	p, err := OpenParquet(context.Background(), ParquetConfig{Messages: []Set{{Files: []string{path}}}, Now: func() time.Time { return testNow }, Tmp: dir})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	r, err := p.Transcripts(context.Background(), "")
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	defer r.Close()
	for {
		page, err := r.Next(context.Background())
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		all = append(all, page.Transcripts...)
	}
}

func insertRows(t *rapid.T, conn *pgx.Conn, columns []string, rows []map[string]any) {
	if _, err := conn.Exec(context.Background(), `TRUNCATE messages`); err != nil {
		t.Fatalf("truncate: %v", err)
	}
	_, err := conn.CopyFrom(context.Background(), pgx.Identifier{"messages"}, columns, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		values := make([]any, len(columns))
		for j, name := range columns {
			values[j] = rows[i][name]
		}
		return values, nil
	}))
	if err != nil {
		t.Fatalf("insert: %v", err)
	}
}

// TestPostgresIDs pages through ids of each type one by one, in the order of
// its index where it has one, and from each of them on.
func TestPostgresIDs(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE EXTENSION citext`,
		`CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
	for _, c := range []struct {
		typ  string
		ids  []string // as SQL has them
		want []string // in the order of pages; nil: as ids
		list bool     // there is no index to follow
	}{
		{"int2", []string{"-3", "2", "10"}, nil, false},
		{"int8", []string{"-3", "2", "9223372036854775807"}, nil, false},
		{"oid", []string{"10", "2", "4294967295"}, nil, true},
		{"numeric", []string{"-1.50", "0.05", "2", "2.0", "10"}, []string{"-1.5", "0.05", "2", "10"}, false},
		{"float8", []string{"1e3", "-0", "9007199254740991"}, []string{"0", "1000", "9007199254740991"}, true},
		{"float4", []string{"16777216", "3"}, nil, true},
		{"uuid", []string{"0aaaaaaa-0000-0000-0000-000000000000", "aaaaaaaa-0000-0000-0000-000000000000"}, nil, false},
		{"bytea", []string{`\x00`, `\xff00`}, []string{"00", "ff00"}, true},
		{"text", []string{"A", "B", "a", "É"}, nil, false},
		{`text COLLATE "en-x-icu"`, []string{"a", "A", "á", "b", "B", "b-b", "bc"}, nil, false},
		{`text COLLATE folding`, []string{"A", "B", "a"}, nil, true},
		{"varchar(9)", []string{"A", "a"}, nil, false},
		{"char(9)", []string{"A", "B"}, nil, true},
		{"name", []string{"A", "B"}, nil, true},
		{"citext", []string{"A", "B", "a"}, nil, true},
	} {
		t.Run(c.typ, func(t *testing.T) {
			pgExec(t, dsn, `DROP TABLE IF EXISTS messages`,
				`CREATE TABLE messages (conversation_id `+c.typ+`, sent_at timestamptz DEFAULT '2025-01-01', role text DEFAULT 'agent')`)
			var rows []string
			for _, id := range c.ids {
				rows = append(rows, "("+quoteLiteral(id)+")")
			}
			pgExec(t, dsn, `INSERT INTO messages VALUES `+strings.Join(rows, ", "))
			want := c.want
			if want == nil {
				want = c.ids
			}
			p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Page: 1})
			pass := pgFull(p)
			if (pass.family == "") != c.list {
				t.Errorf("the pages follow %q", pass.family)
			}
			all := pgPages(t, pass, "")
			if got := conversationIDs(all); !slices.Equal(got, want) && !c.list || len(got) != len(want) {
				t.Fatalf("got %q, want %q", got, want)
			}
			n := 0
			for i, conversation := range all {
				n += len(conversation.Messages)
				if got := conversationIDs(pgPages(t, pass, pass.After(conversation.ConversationID))); !slices.Equal(got, conversationIDs(all)[i+1:]) {
					t.Errorf("after %q: got %q", conversation.ConversationID, got)
				}
			}
			if n != len(c.ids) {
				t.Errorf("got %d rows", n)
			}
		})
	}
}

func TestPostgresSetsTogether(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TABLE a (conversation_id int, sent_at timestamptz DEFAULT '2025-01-01', role text DEFAULT 'agent', changed_at timestamptz)`,
		`CREATE TABLE b (conversation_id text, sent_at timestamptz DEFAULT '2025-01-01', role text DEFAULT 'agent', changed_at timestamptz)`,
		`CREATE TABLE c (conversation_id uuid, assignee_id text, changed_at timestamptz)`,
		`CREATE TABLE d (conversation_id bigint, assignee_id text, changed_at timestamptz)`,
		`INSERT INTO a VALUES (1), (2), (2), (30)`,
		`INSERT INTO b VALUES ('x-1'), ('2'), ('y'), ('0aaaaaaa-0000-0000-0000-000000000000')`,
		`INSERT INTO c VALUES ('0aaaaaaa-0000-0000-0000-000000000000', 'one'), ('1aaaaaaa-0000-0000-0000-000000000000', 'none')`,
		`INSERT INTO d VALUES (2, 'two'), (3000000000, 'none')`)
	prefixed := Set{Table: "a", Fields: map[string]Field{"conversation_id": {Prefix: "x-"}}}
	for _, c := range []struct {
		name          string
		messages      []Set
		conversations []Set
		want          map[string]int
	}{
		{"prefix", []Set{prefixed, {Table: "b"}}, pgTable("c"), map[string]int{"x-1": 2, "x-2": 2, "x-30": 1, "2": 1, "y": 1, "0aaaaaaa-0000-0000-0000-000000000000": 1}},
		{"types", []Set{{Table: "a"}, {Table: "b"}}, pgTable("c"), map[string]int{"1": 1, "x-1": 1, "2": 3, "30": 1, "y": 1, "0aaaaaaa-0000-0000-0000-000000000000": 1}},
		{"integers", []Set{{Table: "a"}}, pgTable("d"), map[string]int{"1": 1, "2": 2, "30": 1}},
	} {
		for page := 1; page < 8; page++ {
			p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: c.messages, Conversations: c.conversations, Page: page})
			for _, full := range []bool{true, false} {
				got := map[string]int{}
				for _, conversation := range pgPages(t, p.Pass(Pass{Lower: 1, Upper: pgUpper, Full: full}), "") {
					got[conversation.ConversationID] += len(conversation.Messages)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("%s, pages of %d: %s", c.name, page, diff)
				}
			}
		}
	}
}

func TestPostgresIncremental(t *testing.T) {
	dsn := postgrestest.New(t)
	for _, c := range []struct{ typ, format string }{
		{"timestamptz", `%s`},
		{"timestamp", `%s`},
		{"bigint", `(extract(epoch FROM %s) * 1000)::bigint`},
	} {
		t.Run(c.typ, func(t *testing.T) {
			at := func(s string) string { return fmt.Sprintf(c.format, "timestamp '2025-05-01 "+s+"'") }
			pgExec(t, dsn, `DROP TABLE IF EXISTS messages`, `CREATE TABLE messages (conversation_id int, sent_at timestamptz, changed_at `+c.typ+`, role text DEFAULT 'agent')`,
				`SET timezone = 'UTC'; INSERT INTO messages VALUES (1, '2025-05-01', `+at("10:00")+`), (1, '2025-01-01', `+at("07:00")+`), (1, '2025-05-31', `+at("13:00")+`),
					(2, '2025-05-01', `+at("11:59:59.999")+`), (3, '2025-05-01', `+at("12:00")+`), (4, '2025-05-01', `+at("09:59:59.999")+`),
					(5, '2025-05-01', NULL), (6, '2025-05-01', `+at("08:00")+`), (NULL, '2025-05-01', `+at("11:00")+`), (NULL, '2025-05-01', `+at("08:00")+`)`)
			p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Table: "messages", Fields: map[string]Field{"changed_at": {Column: "changed_at", Unit: map[bool]string{true: "ms"}[c.typ == "bigint"]}}}}})
			day := func(h int) Time { return TimeOf(time.Date(2025, 5, 1, h, 0, 0, 0, time.UTC)) }
			got := pgPages(t, p.Pass(Pass{Lower: day(10), Upper: day(12), Due: []string{"6", "7", `"`}}), "")
			want := []string{"", "1", "2", "5", "6"}
			if c.typ == "bigint" { // one unit more on either side
				want = []string{"", "1", "2", "3", "4", "5", "6"}
			}
			if ids := conversationIDs(got); !slices.Equal(ids, want) {
				t.Errorf("got %q, want %q", ids, want)
			}
			if n := len(got[0].Rejects); n != 1 {
				t.Errorf("got %d rows of no conversation", n)
			}
			if n := len(got[1].Messages); n != 2 {
				t.Errorf("got %d messages of a conversation with one after the bound", n)
			}
		})
	}
}

func TestPostgresChangedInZone(t *testing.T) {
	dsn := postgrestest.New(t)
	// In Berlin it is 02:00 to 03:00 twice on this day, and half past two is read as the first.
	pgExec(t, dsn, `CREATE TABLE messages (conversation_id int, sent_at timestamp, changed_at timestamp, role text DEFAULT 'agent')`,
		`INSERT INTO messages VALUES (1, '2024-10-27 02:30', '2024-10-27 02:30'), (2, '2024-10-27 12:30', '2024-10-27 12:30')`)
	berlin := Field{Timezone: "Europe/Berlin"}
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Table: "messages", Fields: map[string]Field{"changed_at": berlin, "sent_at": berlin}}}})
	at := TimeOf(time.Date(2024, 10, 27, 0, 30, 0, 0, time.UTC))
	got := pgPages(t, p.Pass(Pass{Lower: at, Upper: at.Add(time.Hour)}), "")
	if ids := conversationIDs(got); !slices.Equal(ids, []string{"1"}) {
		t.Errorf("got %q", ids)
	}
}

func TestPostgresNotIncremental(t *testing.T) {
	dsn := postgrestest.New(t)
	pgMany(t, dsn, 3)
	for name, field := range map[string]Field{
		"not mapped": {Column: "nothing", Optional: true}, "text": {Column: "body"}, "integer without unit": {Column: "author_id"},
	} {
		p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Table: "messages", Fields: map[string]Field{"changed_at": field}}}})
		pass := p.Pass(Pass{Lower: pgUpper - 1, Upper: pgUpper})
		if p.Incremental() || !pass.Full {
			t.Errorf("%s: it selects by changed_at", name)
		}
	}
}

func TestPostgresPageBytes(t *testing.T) {
	dsn := postgrestest.New(t)
	const conversations = 40
	pgMany(t, dsn, conversations)
	pgExec(t, dsn, `UPDATE messages SET body = repeat('y', 20000) WHERE conversation_id = 20`)
	for _, pass := range []*PostgresPass{
		pgFull(pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), PageBytes: 10_000})),
		pgFull(pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Query: "TABLE messages"}}, PageBytes: 10_000})),
	} {
		r := pgReader(t, pass, "")
		all := pgRest(t, r, func(page []Transcript) {
			if len(page) > 10 {
				t.Errorf("a page has %d conversations", len(page))
			}
		})
		checkMany(t, all, conversations)
		if r.Progress() != 10*conversations {
			t.Errorf("progress is %d", r.Progress())
		}
	}
}

// A conversation that takes more memory than it may is read, counted, and
// rejected; those around it are not.
func TestPostgresTooMuch(t *testing.T) {
	dsn := postgrestest.New(t)
	const conversations = 40
	pgMany(t, dsn, conversations)
	pgExec(t, dsn, `UPDATE messages SET body = repeat('y', 20000), role = CASE WHEN message_id / 40 % 2 = 0 THEN 'alien' ELSE role END WHERE conversation_id = 20`)
	pass := pgFull(pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), PageBytes: 10_000, Memory: 400_000}))
	refused := 0
	for _, tr := range pgPages(t, pass, "") {
		if tr.Rows() != 10 {
			t.Errorf("conversation %s has %d rows, want 10", tr.ConversationID, tr.Rows())
		}
		if tr.ConversationID != "20" {
			continue
		}
		refused++
		if len(tr.Rejects) != 1 || tr.Rejects[0].Reason != TooMuch || tr.Rejects[0].Rows != 10 || len(tr.Messages) > 0 {
			t.Errorf("%d messages, rejects %+v", len(tr.Messages), tr.Rejects)
		}
	}
	if refused != 1 {
		t.Errorf("conversation 20 was read %d times", refused)
	}
}

// Rows whose id is bad can be those that take more memory than a conversation
// may.
func TestPostgresTooMuchOfABadID(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TABLE messages (conversation_id text, sent_at timestamptz DEFAULT '2025-01-01', role text DEFAULT 'agent', body text)`,
		`INSERT INTO messages (conversation_id) VALUES ('a')`,
		`INSERT INTO messages (conversation_id, role, body) SELECT '', 'system', repeat('y', 20000) FROM generate_series(1, 10)`)
	pass := pgFull(pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), PageBytes: 10_000, Memory: 400_000}))
	rows := map[string]int{}
	for _, tr := range pgPages(t, pass, "") {
		rows[tr.ConversationID] += tr.Rows()
	}
	if rows[""] != 10 || rows["a"] != 1 {
		t.Errorf("rows by conversation: %v", rows)
	}
}

func TestPostgresStrays(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, pgEmpty, `INSERT INTO messages SELECT NULL, '2025-01-01', NULL, CASE WHEN i = 1 THEN 'system' ELSE 'agent' END, i FROM generate_series(1, 30) AS i`,
		`INSERT INTO messages SELECT NULL, '2025-12-01'`) // there is nothing that waits for it
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), KeepPayload: true})
	got := pgPages(t, pgFull(p), "")
	if len(got) != 1 || len(got[0].Rejects) != 30 || len(got[0].Messages) != 1 || !strings.Contains(got[0].Rejects[0].Payload, `"conversation_id":null`) {
		t.Errorf("got %+v", got)
	}
	locators := map[string]bool{}
	for _, r := range got[0].Rejects {
		locators[r.Locator] = true
	}
	if len(locators) != 30 {
		t.Errorf("there are %d locators", len(locators))
	}
	pass := pgFull(p)
	if rest := pgPages(t, pass, pass.After("")); len(rest) != 0 {
		t.Errorf("after them: %+v", rest)
	}
	p.maxStray = 10
	got = pgPages(t, pgFull(p), "")
	last := got[0].Rejects[slices.IndexFunc(got[0].Rejects, func(r Reject) bool { return r.Rows > 0 })]
	if got[0].Rows() != 31 || !strings.Contains(last.Detail, "missing in 31 rows; 10 of them") {
		t.Errorf("capped: got %d rows, %+v", got[0].Rows(), last)
	}
}

func TestPostgresLongList(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE VIEW messages AS SELECT 'conversation-' || i AS conversation_id, timestamptz '2025-01-01' AS sent_at, 'agent' AS role FROM generate_series(1, 30000) AS i`)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Page: 10000, AllowSlow: true})
	r := pgReader(t, pgFull(p), "")
	n := len(pgRest(t, r, func([]Transcript) {
		names, err := filepath.Glob(filepath.Join(p.cfg.Tmp, "*", spillRows))
		if err != nil || len(names) != 1 {
			t.Fatalf("temporary files: %v, %v", names, err)
		}
		if info, err := os.Stat(names[0]); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("temporary file: %v, %v", info.Mode(), err)
		}
	}))
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(p.cfg.Tmp); n != 30000 || err != nil || len(left) > 0 {
		t.Errorf("read %d conversations; left over: %v, %v", n, left, err)
	}
}

func TestPostgresPosition(t *testing.T) {
	dsn := postgrestest.New(t)
	pgMany(t, dsn, 3)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages")})
	full, some := pgFull(p), p.Pass(Pass{Lower: 1, Upper: pgUpper})
	for pos, ok := range map[Position]bool{
		full.After("2"): true, full.After(""): true, some.After("2"): false, "p1-bytes-3": false, "h1-0": false, "p2-bytes-32": false,
		full.After("2") + "-": false,
	} {
		_, err := full.Transcripts(context.Background(), pos)
		var wrong *PositionError
		if (err == nil) != ok || err != nil && !errors.As(err, &wrong) {
			t.Errorf("position %q: %v", pos, err)
		}
	}
	if pos := some.After("é"); pos != "p1-bytes-c3a9" {
		t.Errorf("stored positions have another form: %s", pos)
	}
}

func TestPostgresDirectory(t *testing.T) {
	dsn := postgrestest.New(t)
	pgMany(t, dsn, 1)
	pgExec(t, dsn, `CREATE TABLE agents (id int, name text, username text, changed_at timestamptz)`,
		`INSERT INTO agents VALUES (1, 'Old', 'o', '2025-01-01'), (1, 'New', 'n', '2025-02-01'), (2, 'Two', NULL, NULL), (NULL, 'No one', NULL, NULL)`)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Agents: pgTable("agents")})
	got, err := p.Directory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]DirectoryAgent{
		"1": {Person: Person{ID: "1", Name: "New", Username: "n"}, ChangedAt: TimeOf(time.Date(2025, 2, 1, 0, 0, 0, 0, time.UTC))},
		"2": {Person: Person{ID: "2", Name: "Two"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if rejects := p.DirectoryRejects(); len(rejects) != 1 || rejects[0].Reason != BadID || !strings.HasPrefix(rejects[0].Locator, "public.agents: row ") {
		t.Errorf("rejects: %+v", rejects)
	}
	if n := p.RowCount(); n != 10 {
		t.Errorf("RowCount is %d", n)
	}
}

func TestPostgresExplain(t *testing.T) {
	dsn := postgrestest.New(t)
	pgMany(t, dsn, 20_000)
	pgExec(t, dsn, `CREATE TABLE "Bare" AS SELECT * FROM messages`, `ANALYZE "Bare"`, `CREATE VIEW bare AS SELECT conversation_id AS cid, sent_at, role FROM "Bare"`)
	explain := func(cfg PostgresConfig) ([]Statement, error) {
		cfg.DSN = dsn
		p := pgOpen(t, cfg)
		p.slowRows = 100_000
		return pgFull(p).Explain(context.Background())
	}
	all, err := explain(PostgresConfig{Messages: pgTable("messages"), Page: 10})
	if err != nil || len(all) != 2 || all[0].Set != "the ids of conversations" || !strings.HasPrefix(all[1].SQL, `SELECT "q"."conversation_id"`) {
		t.Errorf("with an index: %+v, %v", all, err)
	}
	var slow *SlowError
	if _, err = explain(PostgresConfig{Messages: pgTable("Bare")}); !errors.As(err, &slow) ||
		!strings.Contains(err.Error(), `it scans all 200000 rows of public.Bare; try: CREATE INDEX CONCURRENTLY ON "public"."Bare" ("conversation_id")`) {
		t.Errorf("without: %v", err)
	}
	if all, err = explain(PostgresConfig{Messages: pgTable("Bare"), AllowSlow: true}); err != nil || all[1].Slow == "" {
		t.Errorf("allowed: %+v, %v", all, err)
	}
	query := []Set{{Query: "SELECT * FROM bare", Fields: map[string]Field{"conversation_id": {Column: "cid"}}}}
	if _, err = explain(PostgresConfig{Messages: query}); err == nil || !strings.Contains(err.Error(), `CREATE INDEX CONCURRENTLY ON "public"."Bare" (the column that the query of messages has as "cid")`) {
		t.Errorf("in a query: %v", err)
	}
}

// TestPostgresReleased reads pages whose memory is used again, each while the
// one before is in use, as a run does.
func TestPostgresReleased(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TABLE messages AS SELECT (i / 3)::text AS conversation_id, i AS message_id,
		timestamptz '2025-01-01' + i * interval '1 s' AS sent_at, 'customer' AS role, 'body ' || i AS body FROM generate_series(0, 89) AS i`)
	pass := pgFull(pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Page: 4}))
	r := pgReader(t, pass, "")
	var got []Transcript
	var before Page
	used := map[*Message]bool{}
	again := 0
	for {
		page, err := r.Next(t.Context())
		for _, transcript := range before.Transcripts {
			transcript.Messages = slices.Clone(transcript.Messages)
			got = append(got, transcript)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		before.Release()
		before = page
		first := &page.Transcripts[0].Messages[0]
		if used[first] {
			again++
		}
		used[first] = true
	}
	if diff := cmp.Diff(plain(pgPages(t, pass, "")), plain(got)); diff != "" {
		t.Error(diff)
	}
	if again == 0 {
		t.Error("no memory was used again")
	}
}
