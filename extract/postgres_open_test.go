//go:build unix

package extract

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// mappingErrors are the problems of an error, each with where it is.
func mappingErrors(err error) (all []string) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, err := range joined.Unwrap() {
		var m *MappingError
		if errors.As(err, &m) {
			all = append(all, m.Error()+" | "+m.Try)
		}
	}
	return all
}

func TestOpenPostgresErrMapping(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TABLE chat_messages (conversation_id int, sent_at timestamptz, role text, autor_id int, tags text[], doc jsonb, mood inet)`,
		`CREATE SEQUENCE numbers`)
	for _, c := range []struct {
		name string
		set  Set
		want []string // each part of an error of its own
	}{
		{"Err no table", Set{Table: "chat_mesages"}, []string{"messages: there is no table chat_mesages | did you mean chat_messages?"}},
		{"Err sequence", Set{Table: "numbers"}, []string{"numbers is no table or view"}},
		{"Err no columns", Set{Table: "chat_messages", Fields: map[string]Field{"author_id": {Column: "author_id"}, "body": {Column: "text"}}},
			[]string{"messages.author_id: there is no column author_id in public.chat_messages | did you mean autor_id?", "messages.body: there is no column text"}},
		{"Err list", Set{Table: "chat_messages", Fields: map[string]Field{"body": {Column: "tags"}}}, []string{"column tags is of type text[]"}},
		{"Err time of a type", Set{Table: "chat_messages", Fields: map[string]Field{"sent_at": {Column: "conversation_id"}, "role": {Column: "sent_at"}}}, []string{"column sent_at is of type timestamp with time zone, which role cannot take"}},
		{"Err id of a type", Set{Table: "chat_messages", Fields: map[string]Field{"conversation_id": {Column: "mood"}}}, []string{"column mood is of type inet, by which rows cannot be found"}},
		{"Err id with values", Set{Table: "chat_messages", Fields: map[string]Field{"conversation_id": {Column: "autor_id", Values: map[string]string{"1": "2"}}}}, []string{"values and default are not available"}},
		{"Err query", Set{Query: "SELEC 1"}, []string{`the query of messages cannot be read: syntax error at or near`}},
		{"Err query that writes", Set{Query: "DELETE FROM chat_messages RETURNING *"}, []string{"cannot be read: syntax error"}},
		{"Err second statement", Set{Query: "SELECT 1) AS q; DROP TABLE chat_messages; --"}, []string{"cannot be read"}},
		{"Err equal names", Set{Query: "SELECT conversation_id, conversation_id, sent_at, role FROM chat_messages"}, []string{"yields 2 columns named conversation_id"}},
		{"Err missing columns of a query", Set{Query: "SELECT 1 AS conversation_id;"}, []string{"messages.sent_at: the field is required", "messages.role: the field is required"}},
		{"Err both", Set{Table: "a", Query: "b"}, []string{"one of table and query is needed"}},
		{"Err files", Set{Table: "chat_messages", Files: []string{"x"}}, []string{"files is not available"}},
		{"Err expressions", Set{Table: "chat_messages", Where: "rol == 'agent'", Fields: map[string]Field{"body": {Expr: "tags["}}}, []string{"messages.body", "messages.where"}},
		{"Err nested", Set{Table: "chat_messages", Nested: "history", Fields: map[string]Field{"conversation_id": {Column: "row.conversation_id"}, "sent_at": {Column: "row.sent_at"}, "role": {Column: "row.role"}}},
			[]string{"there is no column history"}},
		{"Err id in text", Set{Table: "chat_messages", Fields: map[string]Field{"conversation_id": {Column: "role.id"}}}, []string{"messages.conversation_id: it must be a column, or lie in one of type json or jsonb"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := pgTryOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{c.set}})
			got := mappingErrors(err)
			if len(got) != len(c.want) {
				t.Fatalf("got %q, %v", got, err)
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("got %s, want %s", got[i], c.want[i])
				}
			}
		})
	}
}

func TestOpenPostgresErrAllSetsAtOnce(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TABLE chats (id int)`)
	_, err := pgTryOpen(t, PostgresConfig{
		DSN: dsn, Messages: []Set{{Table: "a"}, {Name: "more", Query: "SELECT"}}, Conversations: pgTable("chats"), Agents: pgTable("c"),
	})
	got := strings.Join(mappingErrors(err), "\n")
	for _, want := range []string{"messages[0]: there is no table a", "messages[1] (more)", "conversations.conversation_id: the field is required", "agents: there is no table c"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %s", want, got)
		}
	}
}

func TestPostgresOddNames(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TABLE canary (n int)`, `CREATE SCHEMA "My.Schema"`)
	for _, c := range []struct{ table, name string }{
		{`"My.Schema"."Chat ""Messages"""`, `"My.Schema"."Chat ""Messages"""`},
		{`"Ünïcode 表"`, `Ünïcode 表`},
		{`"a.b"`, `a.b`},
		{`"UPPER"`, `UPPER`},
		{`lower`, `LOWER`},
		{`"x'); DROP TABLE canary; --"`, `x'); DROP TABLE canary; --`},
		{`"quote"""`, `quote"`},
		{`"back\slash"`, `back\slash`},
	} {
		t.Run(c.name, func(t *testing.T) {
			pgExec(t, dsn,
				`CREATE TABLE `+c.table+` ("id""; DROP TABLE canary; --" int, "sent.at" timestamptz, "Rôle'" text, "back\slash" jsonb)`,
				`INSERT INTO `+c.table+` VALUES (1, '2025-01-01', 'agent', '{"it''s \\ \"": "found"}')`)
			p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Table: c.name, Fields: map[string]Field{
				"conversation_id": {Column: `id"; DROP TABLE canary; --`, Prefix: `'; DROP TABLE canary; --`},
				"sent_at":         {Column: "sent.at"},
				"role":            {Column: "Rôle'"},
				"body":            {Column: `"back\slash"."it's \ """`},
			}}}})
			for _, pass := range []*PostgresPass{pgFull(p), p.Pass(Pass{Lower: 1, Upper: pgUpper, Due: []string{`'{"`}})} {
				got := pgPages(t, pass, "")
				if len(got) != 1 || got[0].ConversationID != `'; DROP TABLE canary; --1` || got[0].Messages[0].Body != "found" {
					t.Errorf("got %+v", got)
				}
			}
			pgExec(t, dsn, `SELECT FROM canary`)
		})
	}
}

func TestPostgresRights(t *testing.T) {
	dsn := postgrestest.New(t)
	pgMany(t, dsn, 10)
	pgExec(t, dsn, `CREATE VIEW seen AS SELECT * FROM messages`)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	role := "reader_" + strings.TrimPrefix(u.Path, "/test_")
	pgExec(t, dsn, `CREATE ROLE `+role+` LOGIN`)
	t.Cleanup(func() { pgExec(t, dsn, `DROP OWNED BY `+role, `DROP ROLE `+role) })
	u.User = url.User(role)
	cfg := PostgresConfig{DSN: u.String(), Messages: []Set{{Table: "messages", Fields: map[string]Field{"changed_at": {Column: "nothing", Optional: true}}}}}

	_, err = pgTryOpen(t, cfg)
	if got := strings.Join(mappingErrors(err), ""); !strings.Contains(got, "permission denied for table messages | let the role read it: GRANT SELECT") {
		t.Errorf("got %v", err)
	}
	pgExec(t, dsn, `GRANT SELECT (conversation_id, message_id, sent_at, role, author_id, body) ON messages TO `+role)
	checkMany(t, pgPages(t, pgFull(pgOpen(t, cfg)), ""), 10)
	pgExec(t, dsn, `REVOKE ALL ON messages FROM `+role, `GRANT SELECT ON seen TO `+role)
	cfg.Messages[0].Table = "seen"
	p := pgOpen(t, cfg)
	checkMany(t, pgPages(t, pgFull(p), ""), 10)
	if _, err := p.Bound(context.Background()); err != nil {
		t.Error(err)
	}
	err = p.inTransaction(context.Background(), 0, func(tx *pgTransaction) error {
		_, err := tx.Exec(context.Background(), `CREATE TEMPORARY TABLE x ()`)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("writing: got %v", err)
	}
}

// checkKeepsPassword opens sources in ways that fail.
func checkKeepsPassword(t *testing.T, server *postgrestest.Server) {
	const password = "s3cr3t-pass"
	pgExec(t, server.DSN(), `CREATE ROLE locked LOGIN PASSWORD 'other'`)
	conn := pgConnect(t, server.DSN())
	var rules string
	if err := conn.QueryRow(context.Background(), `SHOW hba_file`).Scan(&rules); err != nil {
		t.Fatal(err)
	}
	pgDo(t, conn, `COPY (VALUES ('host all locked 127.0.0.1/32 scram-sha-256'), ('host all all 127.0.0.1/32 trust'), ('local all all trust')) TO `+quoteLiteral(rules),
		`SELECT pg_reload_conf()`)
	for reloaded := false; !reloaded; { // new connections see it soon
		pgDo(t, conn, `SELECT pg_sleep(0.01)`)
		other, err := pgx.Connect(context.Background(), strings.Replace(server.DSN(), "postgres@", "locked:x@", 1))
		if reloaded = err != nil; !reloaded {
			other.Close(context.Background())
		}
	}
	host := server.Address()
	for _, dsn := range []string{
		"postgres://locked:" + password + "@" + host + "/postgres?sslmode=disable",
		"postgres://nobody:" + password + "@" + host + "/postgres?sslmode=disable",
		"postgres://locked:" + password + "@" + host + "/nowhere?sslmode=disable",
		"postgres://locked:" + password + "@127.0.0.1:1/postgres?sslmode=disable",
		"postgres://locked:" + password + "@" + host + "/postgres?sslmode=verify-full",
		"postgres://locked:" + password + "@no.such.host.invalid/postgres",
		"postgres://locked:" + password + "@" + host + ":x/postgres",
		"postgres://locked:" + password + "/with%slash@" + host + "/postgres",
		"postgres://locked:" + password + "@" + host + "/postgres?sslmode=none",
		"postgres://locked:" + password + "@" + host + "/postgres?sslrootcert=/no/such/file&sslmode=verify-ca",
		"host=" + host + " user=locked password='" + password,
		"host=127.0.0.1 port=x user=locked password=" + password,
		"mysql://locked:" + password + "@" + host,
	} {
		var logged bytes.Buffer
		_, err := pgTryOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("x"), Log: slog.New(slog.NewTextHandler(&logged, nil))})
		if err == nil || strings.Contains(err.Error(), password) || strings.Contains(logged.String(), password) {
			t.Errorf("got %v; logged %s", err, logged.String())
		}
	}
}
