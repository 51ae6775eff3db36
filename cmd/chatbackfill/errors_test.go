package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

var updateErrors = flag.Bool("update-errors", false, "write the golden files of testdata/errors anew")

// mistake is what is wrong with a job: the job file has one text instead of
// another.
type mistake struct{ name, right, wrong string }

const parquetJob = `name: chats
source:
  parquet:
    messages:
      files: [chats.parquet]
      fields:
        conversation_id: chat_id
        message_id: id
        sent_at: created_at
        role: {column: author_type, values: {user: customer, lead: customer, admin: agent}}
        kind: {column: part_type, values: {comment: message, close: end}, default: ignore}
        user_id: contact_id
destination:
  file: {path: events.ndjson}
state: sqlite:state.db
`

func TestErrors_Parquet(t *testing.T) {
	t.Chdir(t.TempDir())
	prepare(t, "sample", "--conversations", "30", "chats.parquet")
	data, err := os.ReadFile("chats.parquet")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, "cut.parquet", string(data[:len(data)/2]))
	writeFile(t, "text.parquet", "conversation,text\n1,hello\n")
	writeFile(t, "empty.parquet", "")
	writeFile(t, "notes.ndjson", "these are notes of mine\n")
	if err := os.Mkdir("empty", 0o755); err != nil {
		t.Fatal(err)
	}
	compareErrors(t, "parquet", parquetJob, []mistake{
		{"file that does not exist", "files: [chats.parquet]", "files: [\"nowhere.parquet\"]"},
		{"pattern that no file matches", "files: [chats.parquet]", "files: [\"exports/*.parquet\"]"},
		{"folder without Parquet files", "files: [chats.parquet]", "files: [\"empty\"]"},
		{"bucket without a name", "files: [chats.parquet]", "files: [\"s3://\"]"},
		{"file of no bytes", "files: [chats.parquet]", "files: [\"empty.parquet\"]"},
		{"file that is not Parquet", "files: [chats.parquet]", "files: [\"text.parquet\"]"},
		{"file that was cut off", "files: [chats.parquet]", "files: [\"cut.parquet\"]"},
		{"column that does not exist", "sent_at: created_at", "sent_at: creatd_at"},
		{"column of a type that is no time", "sent_at: created_at", "sent_at: is_deleted"},
		{"conversation id that is an expression", "conversation_id: chat_id", "conversation_id: {expr: 'chat_id + \"x\"'}"},
		{"list that is none", "files: [chats.parquet]", "files: [chats.parquet]\n      nested: chat_id"},
		{"expression with a column that does not exist", "files: [chats.parquet]", "files: [chats.parquet]\n      where: deletd == false"},
		{"expression that is neither true nor false", "files: [chats.parquet]", "files: [chats.parquet]\n      where: id"},
		{"expression that cannot be read", "files: [chats.parquet]", "files: [chats.parquet]\n      where: id =="},
		{"role that the program does not know", "admin: agent", "admin: agnet"},
		{"output that is somebody else's", "path: events.ndjson", "path: notes.ndjson"},
		{"output in no folder", "path: events.ndjson", "path: chats.parquet/events.ndjson"},
		{"output of an unknown format", "path: events.ndjson", "path: events.csv"},
		{"state in no folder", "state: sqlite:state.db", "state: sqlite:no/such/folder/state.db"},
		{"state that is no database", "state: sqlite:state.db", "state: sqlite:notes.ndjson"},
		{"state of an unknown kind", "state: sqlite:state.db", "state: mysql://localhost/state"},
	})
}

const postgresJob = `name: chats
source:
  postgres:
    dsn: ${DSN}
    messages:
      table: public.messages
      fields:
        conversation_id: chat_id
        sent_at: created_at
        role: author_type
        user_id: chat_id
destination:
  file: {path: events.ndjson}
state: sqlite:state.db
`

func TestErrors_Postgres(t *testing.T) {
	t.Chdir(t.TempDir())
	dsn := postgrestest.New(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	role := "reader_" + regexp.MustCompile(`\W`).ReplaceAllString(conn.Config().Database, "_")
	for _, sql := range []string{
		`CREATE TABLE messages (chat_id text, created_at timestamptz, author_type text, tags text[])`,
		`CREATE INDEX ON messages (chat_id)`,
		`INSERT INTO messages VALUES ('c1', '2025-01-01', 'customer')`,
		`CREATE TABLE big (chat_id text, created_at timestamptz, author_type text)`,
		`INSERT INTO big SELECT i, '2025-01-01', 'customer' FROM generate_series(1, 10) i`,
		`ALTER TABLE big SET (autovacuum_enabled = false)`,
		`UPDATE pg_class SET reltuples = 5e6, relpages = 50000 WHERE oid = 'big'::regclass`,
		`CREATE ROLE ` + role + ` LOGIN PASSWORD 'canary-password'`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	t.Cleanup(func() {
		admin, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			_, err = admin.Exec(t.Context(), `DROP ROLE `+role)
		}
		if err != nil {
			t.Logf("drop role: %v", err)
		}
	})
	t.Setenv("DSN", dsn)
	with := func(change func(u *url.URL)) string {
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	const head = "name: chats\nsource:\n  postgres:\n    dsn: "
	writeFile(t, "moved.yaml", strings.NewReplacer("name: chats", "name: moved", "events.ndjson", "moved.ndjson").Replace(postgresJob))
	prepare(t, "run", "-q", "moved.yaml")
	compareErrors(t, "postgres", postgresJob, []mistake{
		{"no server", "dsn: ${DSN}", "dsn: postgres://reader:canary-password@" + closedAddress(t) + "/chats"},
		{"dsn that cannot be read", "dsn: ${DSN}", "dsn: postgres://reader:canary-password@localhost:port/chats"},
		{"database that does not exist", "dsn: ${DSN}", "dsn: " + with(func(u *url.URL) { u.Path = "/nowhere" })},
		{"server without TLS", "dsn: ${DSN}", "dsn: " + with(func(u *url.URL) { u.RawQuery = "sslmode=verify-full" })},
		{"no rights", "dsn: ${DSN}", "dsn: " + with(func(u *url.URL) { u.User = url.UserPassword(role, "canary-password") })},
		{"table that does not exist", "table: public.messages", "table: public.mesages"},
		{"column that does not exist", "sent_at: created_at", "sent_at: creatd_at"},
		{"column of a type that is no time", "sent_at: created_at", "sent_at: tags"},
		{"query that Postgres refuses", "table: public.messages", "query: SELECT * FORM messages"},
		{"query that writes", "table: public.messages", "query: DELETE FROM messages RETURNING *"},
		{"table without an index", "table: public.messages", "table: public.big"},
		{"database that is not the one of the run before", head + "${DSN}", strings.Replace(head, "chats", "moved", 1) + messagesDatabase(t)},
		{"state on no server", "state: sqlite:state.db", "state: postgres://state:canary-password@" + closedAddress(t) + "/state"},
	})
}

// messagesDatabase is a new database with an empty table of messages.
func messagesDatabase(t *testing.T) string {
	t.Helper()
	dsn := postgrestest.New(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `CREATE TABLE messages (chat_id text, created_at timestamptz, author_type text)`); err != nil {
		t.Fatal(err)
	}
	return dsn
}

const segmentJob = `name: chats
source:
  parquet:
    messages:
      files: [chats.parquet]
      fields:
        conversation_id: chat_id
        message_id: id
        sent_at: created_at
        role: {column: author_type, values: {user: customer, lead: customer, admin: agent}}
        kind: {column: part_type, values: {comment: message, close: end}, default: ignore}
        user_id: contact_id
        anonymous_id: visitor_id
destination:
  segment: {source: chats, write_key: canary-key, endpoint: ENDPOINT, retry_for: 0s}
state: sqlite:state.db
`

func TestErrors_Segment(t *testing.T) {
	t.Chdir(t.TempDir())
	prepare(t, "sample", "--conversations", "30", "chats.parquet")
	answers := func(a segmenttest.Answer) string {
		s := segmenttest.New(t)
		s.Fault(segmenttest.Always(a))
		return s.URL
	}
	compareErrors(t, "segment", segmentJob, []mistake{
		{"endpoint without https", "ENDPOINT", "http://api.segment.example"},
		{"endpoint that is no URL", "ENDPOINT", "api.segment.example"},
		{"no write key", "write_key: canary-key", "write_key: ${NO_SUCH_KEY}"},
		{"nobody at the endpoint", "ENDPOINT", "http://" + closedAddress(t)},
		{"wrong write key", "ENDPOINT", answers(segmenttest.Status(401))},
		{"wrong endpoint", "ENDPOINT", answers(segmenttest.Status(404))},
		{"redirect", "ENDPOINT", answers(segmenttest.Redirect("https://eu1.api.segment.example/v1/batch"))},
		{"page of a proxy", "ENDPOINT", answers(segmenttest.HTML())},
		{"too many requests", "ENDPOINT", answers(segmenttest.Throttle(""))},
		{"server that fails", "ENDPOINT", answers(segmenttest.Status(503))},
		{"everything is refused", "ENDPOINT", answers(segmenttest.Status(400))},
		{"clock that is wrong", "ENDPOINT", answers(segmenttest.Skew(-600e9))},
	})
}

// compareErrors runs a job with each of some mistakes and compares what the
// program says with testdata/errors/NAME.golden.
func compareErrors(t *testing.T, name, job string, mistakes []mistake) {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			if !strings.Contains(job, m.right) {
				t.Fatalf("the job file has no %q", m.right)
			}
			writeFile(t, "job.yaml", strings.Replace(job, m.right, m.wrong, 1))
			_, stderr, exit := command(t, "run", "-q", "job.yaml")
			if exit == 0 || strings.Contains(stderr, "canary") {
				t.Errorf("exit %d: %s", exit, stderr)
			}
			fmt.Fprintf(&got, "== %s (exit %d)\n%s\n", m.name, exit, masked(stderr, folder))
		})
	}
	compareGolden(t, name, got.String())
}

// masked replaces what differs from one test to the next.
func masked(text, folder string) string {
	text = strings.ReplaceAll(text, folder, "FOLDER")
	for _, mask := range []struct{ pattern, with string }{
		{`127\.0\.0\.1:\d+`, "127.0.0.1:PORT"},
		{`(test|reader)_[0-9a-z_]{6,}`, "DATABASE"},
		{`/tmp/[\w./-]*/\.s\.PGSQL\.\d+`, "SOCKET"},
		{`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`, "TIME"},
		{`oid is \d+, and was \d+`, "oid is OID, and was OID"},
		{`(accepted for|clock is) [\d.hmsµ]+`, "$1 DURATION"},
	} {
		text = regexp.MustCompile(mask.pattern).ReplaceAllString(text, mask.with)
	}
	return text
}

// errorGoldens is absolute: tests change their folder.
var errorGoldens, _ = filepath.Abs("testdata/errors")

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(errorGoldens, name+".golden")
	if *updateErrors {
		writeFile(t, path, got)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update-errors writes it); got:\n%s", path, got)
	}
}

func prepare(t *testing.T, args ...string) {
	t.Helper()
	if _, stderr, exit := command(t, args...); exit != 0 {
		t.Fatalf("%v: exit %d: %s", args, exit, stderr)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// closedAddress is one of this machine at which nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestTroubleshooting: the documentation quotes messages that the program has,
// and every mistake of the golden files is in it.
func TestTroubleshooting(t *testing.T) {
	page := readDoc(t, "docs/troubleshooting.md")
	var quotes []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(page, -1) {
		quotes = append(quotes, row[1])
	}
	if len(quotes) < 30 {
		t.Fatalf("%d messages in docs/troubleshooting.md", len(quotes))
	}
	jobFiles := readAll(t, filepath.Join("..", "..", "jobs", "testdata", "spec", "*.err"))
	scripts := readAll(t, filepath.Join("testdata", "script", "*.txtar"))
	mistakes := strings.Split(readAll(t, filepath.Join(errorGoldens, "*.golden")), "\n== ")
	for _, quote := range quotes {
		if !strings.Contains(jobFiles+scripts+strings.Join(mistakes, "\n"), quote) {
			t.Errorf("no golden file and no script has the message %q", quote)
		}
	}
	for _, m := range mistakes {
		if !slices.ContainsFunc(quotes, func(quote string) bool { return strings.Contains(m, quote) }) {
			t.Errorf("docs/troubleshooting.md does not have: %s", m)
		}
	}
}

func readAll(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s (%v)", pattern, err)
	}
	var all strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

// TestShow_SQL: what is read from Postgres is shown as SQL, without its
// password; a server that cannot be reached is no reason to show nothing.
func TestShow_SQL(t *testing.T) {
	t.Chdir(t.TempDir())
	dsn := messagesDatabase(t)
	const job = "name: chats\nsource:\n  postgres:\n    dsn: %s\n    messages: {table: messages, fields: {conversation_id: chat_id, sent_at: created_at, role: author_type}}\n" +
		"destination:\n  file: {path: events.ndjson}\nstate: sqlite:state.db\n"
	for dsn, want := range map[string]string{
		dsn: `sql of messages`,
		"postgres://nobody:canary-password@127.0.0.1:1/chats": `source.postgres.messages[0].table`,
	} {
		if err := os.WriteFile("job.yaml", fmt.Appendf(nil, job, dsn), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if exit := run(t.Context(), []string{"show", "job.yaml"}, nil, &out, &errs); exit != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("exit %d, want %q in:\n%s%s", exit, want, &out, &errs)
		}
		if strings.Contains(out.String()+errs.String(), "canary") {
			t.Errorf("the password is shown:\n%s%s", &out, &errs)
		}
	}
}
