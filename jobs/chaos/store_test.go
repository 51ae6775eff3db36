package chaos

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"testing"

	_ "modernc.org/sqlite"
)

// store is the state store as somebody sees it who reads its tables. That the
// suite does so itself, without the program's code, is the point of it.
type store struct {
	db     *sql.DB
	schema string // in front of a table's name
	yaml   string // in a job file
}

func openSQLite(t *testing.T, dir string) *store {
	t.Helper()
	path := filepath.Join(dir, "state.db")
	options := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: path, RawQuery: options.Encode()}).String())
	if err != nil {
		t.Fatal(err)
	}
	// A connection is closed after each use: this process reads the file's bytes
	// as well, and closing a file gives up all locks that a process has on it.
	db.SetMaxIdleConns(0)
	t.Cleanup(func() { db.Close() })
	return &store{db: db, yaml: "sqlite:" + path}
}

func openPostgres(t *testing.T, admin, env string) *store {
	t.Helper()
	return &store{db: connect(t, admin), schema: "chatbackfill.", yaml: "${" + env + "}"}
}

// checkpoint is a row of the table of that name.
type checkpoint struct {
	Pass     int
	Upper    int64
	Position string
	Done     bool
	Tally    tally
}

// tally is what became of rows and events.
type tally struct {
	Rows, Events  map[string]int
	Conversations int
}

// rows is how many rows have an outcome.
func (t *tally) rows() (n int) {
	for k := range maps.Values(t.Rows) {
		n += k
	}
	return n
}

// checkpoint returns the checkpoint of the job that is not divided; an error
// while there is none.
func (s *store) checkpoint() (c checkpoint, err error) {
	var position, encoded []byte
	err = s.db.QueryRow(`SELECT pass, upper, position, done, tally FROM `+s.schema+`checkpoints WHERE shard = ''`).
		Scan(&c.Pass, &c.Upper, &position, &c.Done, &encoded)
	if err != nil {
		return c, err
	}
	c.Position = string(position)
	return c, json.Unmarshal(encoded, &c.Tally)
}

// ledgerEntries is how many events are recorded as delivered. An event may be
// recorded twice: by a run that lost its lease, and by the one that took over.
func (s *store) ledgerEntries(t *testing.T) int {
	t.Helper()
	rows, err := s.db.Query(`SELECT conversation, entries FROM ` + s.schema + `ledger`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	recorded := make(map[string]bool)
	for rows.Next() {
		var conversation, entries []byte
		if err := rows.Scan(&conversation, &entries); err != nil {
			t.Fatal(err)
		}
		for entry := range slices.Chunk(entries, 16) {
			recorded[string(conversation)+"\x1f"+string(entry[:8])] = true
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return len(recorded)
}

// rejected are the conversations that have open rejects.
func (s *store) rejected(t *testing.T) map[string]bool {
	t.Helper()
	rows, err := s.db.Query(`SELECT conversation FROM ` + s.schema + `rejects WHERE state = 'open'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := make(map[string]bool)
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		found[string(id)] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// run is the last row of the table of runs.
type run struct {
	Exit  int
	Error string
	Tally tally
}

func (s *store) lastRun(t *testing.T) (r run) {
	t.Helper()
	var encoded []byte
	err := s.db.QueryRow(`SELECT exit_code, error, tally FROM `+s.schema+`runs ORDER BY started_at DESC LIMIT 1`).Scan(&r.Exit, &r.Error, &encoded)
	if err == nil {
		err = json.Unmarshal(encoded, &r.Tally)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *store) query(t *testing.T, to any, query string, args ...any) {
	t.Helper()
	if err := s.db.QueryRow(query, args...).Scan(to); err != nil {
		t.Fatal(err)
	}
}

// tables are the names of all tables of the state.
func (s *store) tables(t *testing.T) (names []string) {
	t.Helper()
	query := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if s.schema != "" {
		query = `SELECT tablename FROM pg_tables WHERE schemaname || '.' = '` + s.schema + `'`
	}
	rows, err := s.db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil || len(names) < 7 {
		t.Fatalf("tables %q: %v", names, err)
	}
	return names
}

// text is everything that the tables hold.
func (s *store) text(t *testing.T) string {
	t.Helper()
	var all []byte
	for _, table := range s.tables(t) {
		rows, err := s.db.Query(`SELECT * FROM ` + s.schema + table)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(sql.RawBytes)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				all = append(append(all, *v.(*sql.RawBytes)...), '\n')
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	return string(all)
}

func sorted(set map[string]bool) string { return fmt.Sprintf("%q", slices.Sorted(maps.Keys(set))) }
