//go:build unix

package extract

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

const spokenTable = `CREATE TABLE spoken AS SELECT * FROM json_populate_recordset(null::spoken_row, $1)`

func openSpoken(t *testing.T) (*Postgres, string) {
	t.Helper()
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TYPE spoken_row AS (c text, id bigint, who text, what text, at bigint, inbox int)`,
		strings.ReplaceAll(spokenTable, "$1", "'"+spoken+"'"))
	set := spokenSet
	set.Table = "spoken"
	return pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{set}}), dsn
}

func TestPostgresValues(t *testing.T) {
	p, _ := openSpoken(t)
	got, err := p.Values(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(spokenValues, got); diff != "" {
		t.Error(diff)
	}
}

func TestPostgresSample(t *testing.T) {
	p, _ := openSpoken(t)
	whole := plain(pgPages(t, pgFull(p), ""))
	read := func(r *PostgresReader, err error) []Transcript {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return plain(pgRest(t, r, nil))
	}
	if diff := cmp.Diff(whole[:2], read(pgFull(p).Sample(t.Context(), 1000))); diff != "" { // of the third the where leaves all out
		t.Error(diff)
	}
	if got := read(pgFull(p).Sample(t.Context(), 2)); len(got) != 1 || got[0].Rows() < 2 {
		t.Errorf("a sample of two rows: %+v", got)
	}
	if got := read(pgFull(p).Only([]string{"b", "unknown"}), nil); len(got) != 1 || got[0].ConversationID != "b" {
		t.Errorf("only b: %+v", got)
	}
}

func TestPostgresServer(t *testing.T) {
	p, dsn := openSpoken(t)
	server, err := p.Server(t.Context())
	if err != nil || !server.Superuser {
		t.Errorf("as a superuser: %+v, %v", server, err)
	}
	role := "reader_" + server.Database
	pgExec(t, dsn, `CREATE ROLE `+role+` LOGIN`, `GRANT SELECT ON spoken TO `+role)
	t.Cleanup(func() { pgExec(t, dsn, `DROP OWNED BY `+role, `DROP ROLE `+role) })
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	for _, c := range []struct {
		does             string
		writable, hiding []string
	}{
		{`GRANT SELECT ON spoken TO ` + role, nil, nil},
		{`GRANT DELETE ON spoken TO ` + role, []string{"public.spoken"}, nil},
		{`CREATE POLICY own ON spoken USING (c = 'a'); ALTER TABLE spoken ENABLE ROW LEVEL SECURITY`, []string{"public.spoken"}, []string{"the query of messages"}},
		{`DROP POLICY own ON spoken`, []string{"public.spoken"}, []string{"the query of messages"}}, // no row is seen at all
	} {
		pgExec(t, dsn, c.does)
		set := spokenSet
		set.Query = "SELECT * FROM spoken"
		server, err := pgOpen(t, PostgresConfig{DSN: u.String(), Messages: []Set{set}}).Server(t.Context())
		if err != nil || server.Superuser || !cmp.Equal(server.Writable, c.writable) || !cmp.Equal(server.Hiding, c.hiding) {
			t.Errorf("%s: %+v, %v", c.does, server, err)
		}
	}
}

func TestPostgresMissingIndexes(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TABLE messages (conversation_id text, sent_at timestamptz, "Changed At" timestamptz, role text)`)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Table: "messages", Fields: map[string]Field{"changed_at": {Column: "Changed At"}}}}})
	missing := func() (create []string) {
		t.Helper()
		all, err := p.MissingIndexes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			create = append(create, m.Create)
		}
		return create
	}
	for range 2 {
		create := missing()
		if len(create) == 0 {
			t.Fatal("no index is missing")
		}
		for _, statement := range create {
			pgExec(t, dsn, statement)
		}
		if again := missing(); len(again) > 0 {
			t.Errorf("after they were created: %v", again)
		}
		// An index of some rows only, or by another column first, does not do.
		pgExec(t, dsn, `DROP INDEX messages_conversation_id_idx, "messages_Changed At_idx"`,
			`CREATE INDEX part ON messages (conversation_id) WHERE role = 'x'`, `CREATE INDEX second ON messages (role, "Changed At")`)
		if create = missing(); len(create) != 2 {
			t.Errorf("indexes that do not help: %v", create)
		}
		pgExec(t, dsn, `DROP INDEX part, second`)
	}
}

func TestLocalTimes(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TABLE messages (conversation_id text, sent_at timestamp, changed_at timestamptz, role text)`)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Table: "messages"}}})
	want := []LocalTime{{Set: "messages", Field: "sent_at", Column: "sent_at", Declared: "timestamp without time zone"}}
	if diff := cmp.Diff(want, p.LocalTimes()); diff != "" {
		t.Error(diff)
	}
	for _, zone := range []string{"UTC", "Europe/Berlin"} {
		p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Table: "messages", Fields: map[string]Field{"sent_at": {Timezone: zone}}}}})
		if got := p.LocalTimes(); len(got) > 0 {
			t.Errorf("in %s: %v", zone, got)
		}
	}
}

// TestInspectPostgres: tables, their columns, and what lies in jsonb.
func TestInspectPostgres(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TABLE conversation_parts (id bigint, conversation_id text, created_at timestamptz, body text, part_type text, author jsonb)`,
		`INSERT INTO conversation_parts SELECT i, 'c' || i % 9, timestamptz '2024-01-01' + i * interval '1 minute', 'This is part ' || i, 'comment',
			jsonb_build_object('type', CASE i % 2 WHEN 0 THEN 'user' ELSE 'admin' END, 'id', 'p' || i % 2) FROM generate_series(1, 90) i`,
		`CREATE TABLE tags (id int, name text)`)
	tables, err := PostgresTables(t.Context(), PostgresConfig{DSN: dsn})
	if err != nil || len(tables) != 2 {
		t.Fatalf("tables %+v, %v", tables, err)
	}
	best, _ := ProposeTable(tables)
	if best != "conversation_parts" {
		t.Fatalf("the likeliest table is %q", best)
	}
	table, err := InspectPostgres(t.Context(), PostgresConfig{DSN: dsn}, Set{Table: best})
	if err != nil {
		t.Fatal(err)
	}
	p := ProposeMessages(table)
	wantMapping(t, p, "conversation_id: conversation_id", "message_id: id", "sent_at: created_at", "role: author.type", "kind: part_type",
		"author_id: author.id", "body: body", "user_id: author.id")
	source := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Table: best, Fields: p.Set()}}})
	if all := pgPages(t, pgFull(source), ""); len(all) != 9 {
		t.Errorf("the proposal reads %d conversations", len(all))
	}
	if _, err := InspectPostgres(t.Context(), PostgresConfig{DSN: dsn}, Set{Table: "nowhere"}); err == nil {
		t.Error("a table that does not exist was looked at")
	}
}
