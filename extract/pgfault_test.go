//go:build unix

package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// pgMany is a table of messages of some conversations, ten each.
func pgMany(t failer, dsn string, conversations int) {
	t.Helper()
	pgExec(t, dsn,
		`CREATE TABLE messages (conversation_id int, message_id int, sent_at timestamptz, changed_at timestamptz, role text, author_id int, body text)`,
		fmt.Sprintf(`INSERT INTO messages SELECT i %% %d, i, timestamptz '2025-01-01' + i * interval '1 s', timestamptz '2025-01-01' + i * interval '1 s',
			'customer', 7, repeat('x', 100) FROM generate_series(0, %d - 1) AS i`, conversations, 10*conversations),
		`CREATE INDEX ON messages (conversation_id)`, `ANALYZE messages`)
}

// checkMany reports what is missing or double of the rows of pgMany.
func checkMany(t *testing.T, all []Transcript, conversations int) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range all {
		if len(c.Messages) != 10 || seen[c.ConversationID] || len(c.Rejects) > 0 {
			t.Errorf("conversation %s has %d messages and %d rejects, seen before: %t", c.ConversationID, len(c.Messages), len(c.Rejects), seen[c.ConversationID])
		}
		seen[c.ConversationID] = true
	}
	if len(seen) != conversations {
		t.Errorf("got %d conversations, want %d", len(seen), conversations)
	}
}

// cuttingProxy passes connections on to a server and cuts each after some
// bytes of answers; ever more of them, so that it gets through in the end.
type cuttingProxy struct {
	net.Listener
	to    string
	mute  bool // do not close what is cut: nothing arrives any more
	bytes atomic.Int64
	cuts  atomic.Int64
	wg    sync.WaitGroup
}

func newCuttingProxy(t *testing.T, to string, bytes int64) *cuttingProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cuttingProxy{Listener: l, to: to}
	p.bytes.Store(bytes)
	p.wg.Add(1)
	go p.accept()
	t.Cleanup(func() { l.Close(); p.wg.Wait() })
	return p
}

func (p *cuttingProxy) accept() {
	defer p.wg.Done()
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			client.Close()
			continue
		}
		p.wg.Add(2)
		go func() {
			defer p.wg.Done()
			io.Copy(server, client)
			server.Close()
		}()
		go func() {
			defer p.wg.Done()
			n := p.bytes.Add(p.bytes.Load() / 3)
			if passed, _ := io.CopyN(client, server, n); passed == n {
				p.cuts.Add(1)
				if p.mute {
					io.Copy(io.Discard, server) // until the client has given up
				}
			}
			client.Close()
			server.Close()
		}()
	}
}

// through is a DSN that leads through the proxy.
func (p *cuttingProxy) through(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.Addr().String()
	return u.String()
}

func hostOf(t *testing.T, dsn string) string {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s:%d", config.Host, config.Port)
}

func TestPostgresConnectionsCut(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("while reading", func(t *testing.T) {
		dsn := postgrestest.New(t)
		const conversations = 2000
		pgMany(t, dsn, conversations)
		for _, full := range []bool{true, false} {
			// A page is about 200 kB; opening takes some.
			proxy := newCuttingProxy(t, hostOf(t, dsn), 1<<40)
			p := pgOpen(t, PostgresConfig{DSN: proxy.through(t, dsn), Messages: pgTable("messages"), Page: 100})
			p.pool.Reset()
			proxy.bytes.Store(20_000)
			checkMany(t, pgPages(t, p.Pass(Pass{Lower: 1, Upper: pgUpper, Full: full}), ""), conversations)
			if proxy.cuts.Load() < 5 {
				t.Errorf("there were only %d cuts", proxy.cuts.Load())
			}
		}
	})
}

// TestPostgresStatementCut: rows that are missing at the end are an error.
func TestPostgresStatementCut(t *testing.T) {
	dsn := postgrestest.New(t)
	pgMany(t, dsn, 1)
	proxy := newCuttingProxy(t, hostOf(t, dsn), 1<<40)
	p := pgOpen(t, PostgresConfig{DSN: proxy.through(t, dsn), Messages: pgTable("messages")})
	p.pool.Reset()
	proxy.bytes.Store(20_000)
	_ = p.inTransaction(t.Context(), pageTimeout, func(tx *pgTransaction) error {
		rows := 0
		err := tx.rows(t.Context(), &pgStatement{sql: `SELECT repeat('x', 1000) FROM generate_series(1, 1000)`}, nil, anyFields, func([][]byte) error {
			rows++
			return nil
		})
		if err == nil {
			t.Errorf("%d of 1000 rows, and no error", rows)
		}
		return err
	})
}

// TestPostgresFallsSilent has a connection on which nothing arrives any more and
// that nobody closes: that passes for one that is cut.
func TestPostgresFallsSilent(t *testing.T) {
	dsn := postgrestest.New(t)
	pgMany(t, dsn, 1)
	proxy := newCuttingProxy(t, hostOf(t, dsn), 1<<40)
	proxy.mute = true
	p := pgOpen(t, PostgresConfig{DSN: proxy.through(t, dsn), Messages: pgTable("messages")})
	p.pool.Reset()
	p.grace = time.Second - time.Hour // the server has more time than its answer
	proxy.bytes.Store(20_000)
	err := p.inTransaction(t.Context(), time.Hour, func(tx *pgTransaction) error {
		_, err := tx.oneText(t.Context(), &pgStatement{sql: `SELECT repeat('x', 1000000)`})
		return err
	})
	if err == nil || !transient(err) {
		t.Errorf("got %v", err)
	}
}

func TestPostgresBackendsTerminated(t *testing.T) {
	dsn := postgrestest.New(t)
	const conversations = 1000
	pgMany(t, dsn, conversations)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Page: 20})
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := pgx.Connect(context.Background(), dsn)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		for range 30 {
			if _, err := conn.Exec(context.Background(), `SELECT pg_terminate_backend(pid), pg_sleep(0.002) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'chatbackfill'`); err != nil {
				t.Error(err)
			}
		}
	}()
	checkMany(t, pgPages(t, pgFull(p), ""), conversations)
	<-done
}

func TestPostgresOwnServer(t *testing.T) {
	server := postgrestest.Start(t)
	t.Run("Err keeps the password", func(t *testing.T) { checkKeepsPassword(t, server) })
	const conversations = 300
	pgMany(t, server.DSN(), conversations)
	var logged bytes.Buffer
	p := pgOpen(t, PostgresConfig{DSN: server.DSN(), Messages: pgTable("messages"), Page: 50, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	p.policy.budget = 1
	r := pgReader(t, pgFull(p), "")
	first, err := r.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	ahead, err := pgReadOn(r)
	var unavailable *SourceUnavailable
	if !errors.As(err, &unavailable) {
		t.Fatalf("got %v, want a SourceUnavailable", err)
	}
	if _, err := pgTryOpen(t, PostgresConfig{DSN: server.DSN(), Messages: pgTable("messages")}); !errors.As(err, &unavailable) {
		t.Fatalf("got %v, want a SourceUnavailable", err)
	}
	server.Start(t)
	p.policy = patient
	checkMany(t, slices.Concat(first.Transcripts, ahead, pgRest(t, r, nil)), conversations)
	if !strings.Contains(logged.String(), "tried again") {
		t.Errorf("the log is %q", logged.String())
	}
}

// pgReadOn reads what is left, as far as it can be read: some of it was read
// ahead.
func pgReadOn(r *PostgresReader) (all []Transcript, err error) {
	for err == nil {
		var page Page
		page, err = r.Next(context.Background())
		all = append(all, page.Transcripts...)
	}
	return all, err
}

func TestPostgresStops(t *testing.T) {
	dsn := postgrestest.New(t)
	pgMany(t, dsn, 10)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages")})
	r := pgReader(t, pgFull(p), "")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := r.Next(context.Background()); err != nil {
		t.Errorf("reading on: %v", err)
	}
}

// TestPostgresTimeoutHalves cancels the first page's statement by a lock that
// keeps it from going on.
func TestPostgresTimeoutHalves(t *testing.T) {
	dsn := postgrestest.New(t)
	const conversations = 64
	pgMany(t, dsn, conversations)
	p := pgFull(pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Page: 64}))
	r, err := p.Transcripts(context.Background(), p.After("")) // the rows of no conversation are no page
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	lock, err := conn.Begin(context.Background())
	if err == nil {
		_, err = lock.Exec(context.Background(), `LOCK TABLE messages`)
	}
	if err != nil {
		t.Fatal(err)
	}
	cancelled := make(chan error, 1)
	reading, end := context.WithCancel(context.Background())
	defer end()
	go func() { cancelled <- cancelWaiting(reading, dsn, func() { lock.Rollback(context.Background()) }) }()
	sizes := map[int]bool{}
	all := pgRest(t, r, func(page []Transcript) { sizes[len(page)] = true })
	end()
	if err := <-cancelled; err != nil {
		t.Fatal(err)
	}
	checkMany(t, all, conversations)
	if !sizes[32] {
		t.Errorf("pages had sizes %v", sizes)
	}
}

// cancelWaiting cancels the statement of ours that waits for a lock, as a
// statement timeout does, and then lets go.
func cancelWaiting(reading context.Context, dsn string, then func()) error {
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	defer then()
	for reading.Err() == nil {
		tag, err := conn.Exec(context.Background(), `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'chatbackfill' AND wait_event_type = 'Lock'`)
		if err != nil || tag.RowsAffected() > 0 {
			return err
		}
	}
	return errors.New("nobody waits for the lock")
}

func TestPostgresSchemaChanges(t *testing.T) {
	dsn := postgrestest.New(t)
	for _, c := range []struct{ name, change string }{
		{"Err column dropped", `ALTER TABLE messages DROP COLUMN body`},
		{"Err table dropped", `DROP TABLE messages`},
		{"Err type changed", `ALTER TABLE messages ALTER COLUMN author_id TYPE text`},
		{"Err id's type changed", `ALTER TABLE messages ALTER COLUMN conversation_id TYPE text`},
	} {
		t.Run(c.name, func(t *testing.T) {
			pgExec(t, dsn, `DROP TABLE IF EXISTS messages`)
			pgMany(t, dsn, 10)
			p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Page: 2})
			r := pgReader(t, pgFull(p), "")
			if _, err := r.Next(context.Background()); err != nil {
				t.Fatal(err)
			}
			pgExec(t, dsn, c.change)
			var changed *SchemaChanged
			if _, err := pgReadOn(r); !errors.As(err, &changed) {
				t.Errorf("got %v, want a SchemaChanged", err)
			}
		})
	}
}

// TestPostgresAttributesChange: of an attribute that is gone NULL would be read.
func TestPostgresAttributesChange(t *testing.T) {
	dsn := postgrestest.New(t)
	nested := Set{Table: "chats", Nested: "history", Fields: map[string]Field{
		"conversation_id": {Column: "row.id"}, "sent_at": {Column: "at"}, "role": {Value: ptr("customer")}, "author_name": {Column: "who.name"},
	}}
	lone := Set{Table: "chats", Fields: map[string]Field{
		"conversation_id": {Column: "id"}, "sent_at": {Column: "lone.at"}, "role": {Value: ptr("customer")}, "author_name": {Column: "lone.who.name"},
	}}
	for _, c := range []struct {
		name, change string
		set          Set
		gone         string // the attribute that the error names; empty: it is read on
	}{
		{"OK added", `ALTER TYPE person ADD ATTRIBUTE more text`, nested, ""},
		{"Err renamed", `ALTER TYPE part RENAME ATTRIBUTE at TO sent_at`, lone, "at"},
		{"Err dropped", `ALTER TYPE part DROP ATTRIBUTE who`, lone, "who"},
		{"Err renamed in a list", `ALTER TYPE part RENAME ATTRIBUTE at TO sent_at`, nested, "at"},
		{"Err renamed in a row of a list", `ALTER TYPE person RENAME ATTRIBUTE name TO label`, nested, "name"},
		{"Err dropped and added", `ALTER TYPE person DROP ATTRIBUTE id; ALTER TYPE person ADD ATTRIBUTE id text`, lone, "name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pgExec(t, dsn, `DROP TABLE IF EXISTS chats`, `DROP TYPE IF EXISTS part, person`,
				`CREATE TYPE person AS (id int, name text)`, `CREATE TYPE part AS (at timestamptz, who person)`, `CREATE TABLE chats (id int, history part[], lone part)`,
				`INSERT INTO chats SELECT i, ARRAY[NULL, ('2025-01-01', (1, 'Ann')), ('2025-01-02', NULL)]::part[], ('2025-01-01', (1, 'Ann'))::part FROM generate_series(1, 12) AS i`)
			r := pgReader(t, pgFull(pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{c.set}, Page: 2})), "")
			if _, err := r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			pgExec(t, dsn, c.change)
			_, err := pgReadOn(r)
			var changed *SchemaChanged
			switch {
			case c.gone == "":
				if err != io.EOF {
					t.Error(err)
				}
			case !errors.As(err, &changed) || !strings.HasSuffix(err.Error(), "no longer have the attribute "+c.gone):
				t.Errorf("got %v, want a SchemaChanged that names %s", err, c.gone)
			}
		})
	}
}

func TestPostgresRowsFailOnContent(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TABLE raw (id int, doc text)`, `INSERT INTO raw VALUES (1, 'my card is CANARY')`)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{
		Query: `SELECT id AS conversation_id, timestamptz '2025-01-01' AS sent_at, 'agent' AS role, doc::int AS body FROM raw`,
	}}})
	r := pgReader(t, pgFull(p), "")
	if _, err := r.Next(context.Background()); err == nil || strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), "22P02") {
		t.Errorf("got %v", err)
	}
}

func TestPostgresUpdatedWhileReading(t *testing.T) {
	dsn := postgrestest.New(t)
	const conversations = 100
	pgMany(t, dsn, conversations)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Page: 7})
	r := pgReader(t, pgFull(p), "")
	n := 0
	all := pgRest(t, r, func([]Transcript) {
		pgExec(t, dsn, fmt.Sprintf(`UPDATE messages SET changed_at = now(), body = body || '%d'`, n), `INSERT INTO messages SELECT conversation_id, -1, '2025-06-02' FROM messages LIMIT 1`)
		n++
	})
	checkMany(t, all, conversations)
}

// TestPostgresSchemaStays reads on over changes that leave what is read as it
// was.
func TestPostgresSchemaStays(t *testing.T) {
	dsn := postgrestest.New(t)
	const conversations = 20
	pgMany(t, dsn, conversations)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Page: 2})
	r := pgReader(t, pgFull(p), "")
	changes := []string{
		`ALTER TABLE messages ADD COLUMN first text DEFAULT 'x'`, `VACUUM FULL messages`,
		`CREATE TABLE other AS SELECT 'y' AS body, * FROM (SELECT author_id, role, changed_at, sent_at, message_id, conversation_id FROM messages) AS m`,
		`BEGIN; ALTER TABLE messages RENAME TO old; ALTER TABLE other RENAME TO messages; COMMIT`, // its columns in another order
	}
	all := pgRest(t, r, func([]Transcript) {
		if len(changes) > 0 {
			pgExec(t, dsn, changes[0])
			changes = changes[1:]
		}
	})
	checkMany(t, all, conversations)
	if last := all[len(all)-1].Messages[0]; last.Body != "y" || last.Author.ID != "7" {
		t.Errorf("got %+v", last)
	}
}

// TestPostgresHoldsNothing: once pages are read there is no transaction, whenever
// they are asked for, so that nothing keeps the server from cleaning up.
func TestPostgresHoldsNothing(t *testing.T) {
	dsn := postgrestest.New(t)
	pgMany(t, dsn, 10)
	for _, set := range []Set{{Table: "messages"}, {Query: "TABLE messages"}} {
		r := pgReader(t, pgFull(pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{set}, Page: 3})), "")
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		for range 3 {
			if _, err := r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, read := range r.pages {
				<-read.ended
			}
			var ours, open int
			if err := conn.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE state <> 'idle' OR backend_xmin IS NOT NULL) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'chatbackfill'`).Scan(&ours, &open); err != nil {
				t.Fatal(err)
			}
			if ours == 0 || open > 0 {
				t.Errorf("%d of %d connections hold something", open, ours)
			}
		}
	}
}
