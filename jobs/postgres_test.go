//go:build unix

package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

func postgresRef(dsn string) StateRef { return StateRef{Postgres: NewSecret(dsn)} }

func openState(t *testing.T, ref StateRef) *State {
	t.Helper()
	s, err := ref.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openTestPostgres(t *testing.T) *State { return openState(t, postgresRef(postgrestest.New(t))) }

func TestPostgres(t *testing.T) {
	dsn := postgrestest.New(t)
	testState(t, newSchema(dsn, dsn))
}

// newSchema returns a function that opens a store which nobody has used, each
// time in the same database. The owner's DSN gets rid of it.
func newSchema(dsn, owner string) func(*testing.T) *State {
	return func(t *testing.T) *State {
		t.Cleanup(func() {
			conn, err := pgx.Connect(context.Background(), owner)
			if err == nil {
				_, err = conn.Exec(context.Background(), `DROP SCHEMA chatbackfill CASCADE`)
				conn.Close(context.Background())
			}
			if err != nil {
				t.Error(err)
			}
		})
		return openState(t, postgresRef(dsn))
	}
}

// administer executes statements beside the store.
func administer(t *testing.T, dsn string, statements ...string) {
	t.Helper()
	conn := connectBeside(t, dsn)
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func connectBeside(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// atOnce opens a store many times at once, from pools of their own.
func atOnce(t *testing.T, ref StateRef, many int) {
	t.Helper()
	var wg sync.WaitGroup
	for range many {
		wg.Go(func() {
			s, err := ref.Open(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Job(t.Context(), "job", "label"); err != nil {
				t.Error(err)
			}
			s.Close()
		})
	}
	wg.Wait()
}

func TestPostgresManyStartOnAnEmptyDatabase(t *testing.T) {
	dsn := postgrestest.New(t)
	atOnce(t, postgresRef(dsn), 20)
	var repeated, jobs int
	const query = `SELECT (SELECT count(*) - count(DISTINCT version_id) FROM chatbackfill.goose_db_version), (SELECT count(*) FROM chatbackfill.jobs)`
	if err := connectBeside(t, dsn).QueryRow(t.Context(), query).Scan(&repeated, &jobs); err != nil {
		t.Fatal(err)
	}
	if repeated != 0 || jobs != 1 {
		t.Errorf("%d migrations were run again, there are %d jobs, want 0 and 1", repeated, jobs)
	}
}

// migrateVariable makes the test binary a process that migrates the store it
// names.
const migrateVariable = "CHATBACKFILL_TEST_MIGRATE"

func TestPostgresMigrationKilled(t *testing.T) {
	if dsn := os.Getenv(migrateVariable); dsn != "" {
		openState(t, postgresRef(dsn))
		return
	}
	dsn := postgrestest.New(t)
	// A table in the making makes the migration wait half way.
	obstacle, err := connectBeside(t, dsn).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	administer(t, dsn, `CREATE SCHEMA chatbackfill`)
	if _, err := obstacle.Exec(t.Context(), `CREATE TABLE chatbackfill.runs ()`); err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(os.Args[0], "-test.run=^TestPostgresMigrationKilled$")
	victim.Env = append(os.Environ(), migrateVariable+"="+dsn)
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	conn := connectBeside(t, dsn)
	until(t, conn, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'CREATE TABLE runs%')`)
	victim.Process.Kill()
	victim.Wait()
	if err := obstacle.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What it held runs out by itself: as if the seconds had passed.
	administer(t, dsn, `UPDATE chatbackfill.goose_lock SET lease_expires_at = now() - interval '1 ms'`)
	s := openState(t, postgresRef(dsn))
	testCommit(t, s)
}

// until waits until a query is true.
func until(t *testing.T, conn *pgx.Conn, query string) {
	t.Helper()
	for {
		var so bool
		if err := conn.QueryRow(t.Context(), query).Scan(&so); err != nil {
			t.Fatal(err)
		}
		if so {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// schemaStores are an empty store of each kind.
func schemaStores(t *testing.T) map[string]StateRef {
	return map[string]StateRef{
		"sqlite":   {SQLite: t.TempDir() + "/state.db"},
		"postgres": postgresRef(postgrestest.New(t)),
	}
}

func TestSchemaErrNewer(t *testing.T) {
	for name, ref := range schemaStores(t) {
		t.Run(name, func(t *testing.T) {
			s := openState(t, ref)
			known, err := ref.Schema(t.Context())
			if known.Version != known.Program || err != nil {
				t.Fatalf("schema %+v, %v", known, err)
			}
			knows := fmt.Sprintf("knows %d", known.Program)
			if _, err := s.db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)`, 99, true); err != nil {
				t.Fatal(err)
			}
			for _, open := range []func(context.Context) (*State, error){ref.Open, ref.OpenExisting} {
				_, err := open(t.Context())
				if ExitCode(err) != ExitDiffers || !strings.Contains(err.Error(), "schema 99") || !strings.Contains(err.Error(), knows) {
					t.Errorf("open: %v", err)
				}
			}
			got, err := ref.Schema(t.Context())
			if got.Version != 99 || err != nil {
				t.Errorf("schema %+v, %v", got, err)
			}
		})
	}
}

func TestSchemaErrOlderAndNotToMigrate(t *testing.T) {
	for name, ref := range schemaStores(t) {
		t.Run(name, func(t *testing.T) {
			ref.NoMigrate = true
			_, err := ref.Open(t.Context())
			var e *Error
			if !errors.As(err, &e) || e.Exit != ExitDiffers || !strings.Contains(e.Try, "state migrate") {
				t.Fatalf("open: %v", err)
			}
			if was, err := ref.Migrate(t.Context()); was.Version != 0 || err != nil {
				t.Fatalf("migrate from %+v: %v", was, err)
			}
			openState(t, ref)
			if was, err := ref.Migrate(t.Context()); was.Version != was.Program || err != nil {
				t.Errorf("migrate again from %+v: %v", was, err)
			}
		})
	}
}

func TestSQLiteManyStartOnANewFile(t *testing.T) {
	atOnce(t, StateRef{SQLite: t.TempDir() + "/state.db"}, 20)
}

func TestPostgresExistingCreatesNothing(t *testing.T) {
	dsn := postgrestest.New(t)
	s, err := postgresRef(dsn).OpenExisting(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j, err := s.FindJob(t.Context(), "job", "label")
	if err != nil {
		t.Fatal(err)
	}
	if empty, err := j.LedgerEmpty(t.Context()); !empty || err != nil {
		t.Errorf("ledger empty: %v, %v", empty, err)
	}
	if got, err := postgresRef(dsn).Schema(t.Context()); got.Version != 0 || err != nil {
		t.Errorf("schema %+v, %v", got, err)
	}
	var schemas int
	err = connectBeside(t, dsn).QueryRow(t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname = 'chatbackfill'`).Scan(&schemas)
	if schemas != 0 || err != nil {
		t.Errorf("%d schemas were created: %v", schemas, err)
	}
}

// TestPostgresUnprivileged uses a role that cannot create a schema.
func TestPostgresUnprivileged(t *testing.T) {
	dsn := postgrestest.New(t)
	u, _ := url.Parse(dsn)
	role := "role_" + strings.TrimPrefix(u.Path, "/")
	administer(t, dsn, `CREATE ROLE `+role+` LOGIN PASSWORD 'x'`)
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), dsn)
		if err == nil {
			_, err = conn.Exec(context.Background(), `DROP OWNED BY `+role+` CASCADE; DROP ROLE `+role)
			conn.Close(context.Background())
		}
		if err != nil {
			t.Error(err)
		}
	})
	u.User = url.UserPassword(role, "x")
	_, err := postgresRef(u.String()).Open(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Exit != ExitUsage || !strings.Contains(e.Try, "CREATE SCHEMA chatbackfill AUTHORIZATION") {
		t.Fatalf("open: %v", err)
	}
	_, statement, _ := strings.Cut(e.Try, ": ")
	administer(t, dsn, statement)
	testCommit(t, openState(t, postgresRef(u.String())))
}

func TestPostgresLongIDs(t *testing.T) {
	s := openTestPostgres(t)
	j := testJob(t, s, "job")
	_, l := acquire(t, j)
	// Text that no compression makes shorter than what an index takes.
	var long strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&long, "%x", i*i*2654435761)
	}
	one, two := long.String()+"1", long.String()+"2"
	for range 2 {
		c := commit{due: map[string]extract.Time{one: 1, two: 2}}
		for i, id := range []string{one, two} {
			c.ledger = append(c.ledger, ledgerEntry{id, extract.Time(i + 1), entryOf(uint64(i), 0)})
			c.rejects = append(c.rejects, extract.Reject{Locator: id, Reason: extract.BadID, ConversationID: id})
		}
		mustCommit(t, l, c)
	}
	got := delivered(t, j, one, two)
	if len(got) != 2 || got[one].Start != 1 || got[two].Start != 2 {
		t.Errorf("delivered %d", len(got))
	}
	due, _ := j.Due(t.Context())
	rejects, _ := j.Rejects(t.Context(), "")
	if len(due) != 2 || len(rejects) != 2 {
		t.Errorf("%d due notes and %d rejects, want 2 of each", len(due), len(rejects))
	}
}

func TestPostgresNamesTwiceInACommit(t *testing.T) {
	s := openTestPostgres(t)
	j := testJob(t, s, "job")
	_, l := acquire(t, j)
	reject := extract.Reject{Locator: "x", Reason: extract.BadID, Detail: "first"}
	again := reject
	again.Detail = "second"
	mustCommit(t, l, commit{
		ledger:  []ledgerEntry{{"c", 0, entryOf(1, 1)}, {"d", 7, entryOf(9, 9)}, {"c", 5, entryOf(2, 2)}},
		rejects: []extract.Reject{reject, again},
	})
	if got := delivered(t, j, "c", "d"); got["c"].Start != 5 || len(got["c"].Events) != 2 || len(got["d"].Events) != 1 {
		t.Errorf("delivered %v", got)
	}
	if rejects, err := j.Rejects(t.Context(), ""); len(rejects) != 1 || rejects[0].Detail != "second" || err != nil {
		t.Errorf("rejects %v, %v", rejects, err)
	}
}

// TestPostgresLeavesSessionsClean holds the store to what a pooler in transaction
// mode needs: nothing of it is left in a session.
func TestPostgresLeavesSessionsClean(t *testing.T) {
	s := openTestPostgres(t)
	s.db.SetMaxOpenConns(1)
	testCommit(t, s)
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(driverConn any) error {
		session := driverConn.(*stateConn).Conn.Conn()
		var path, timeout string
		var prepared int
		const query = `SELECT current_setting('search_path'), current_setting('statement_timeout'), (SELECT count(*) FROM pg_prepared_statements)`
		if err := session.QueryRow(t.Context(), query).Scan(&path, &timeout, &prepared); err != nil {
			return err
		}
		if path != `"$user", public` || timeout != "0" || prepared != 0 {
			t.Errorf("search_path %s, statement_timeout %s, %d prepared statements", path, timeout, prepared)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// manyConversations returns a commit of many conversations, with due notes and
// rejects, and their ids.
func manyConversations(n int) (commit, []string) {
	c := commit{advance: &Checkpoint{Pass: 1, Tally: newCounts()}, due: make(map[string]extract.Time)}
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("conversation-%08d", i)
		c.ledger = append(c.ledger, ledgerEntry{ids[i], extract.Time(i + 1), entryOf(1, 1, 2, 2)})
		c.due[ids[i]] = extract.Time(i % 2)
		c.clean = append(c.clean, ids[i])
		c.rejects = append(c.rejects, extract.Reject{Locator: ids[i], Reason: extract.BadID, ConversationID: ids[i]})
	}
	return c, ids
}

// TestPostgresBulk commits and reads 5,000 conversations without a round trip
// for each.
func TestPostgresBulk(t *testing.T) {
	dsn := postgrestest.New(t)
	p := startProxy(t, hostOf(t, dsn))
	s := openState(t, postgresRef(p.through(t, dsn)))
	j := testJob(t, s, "job")
	_, l := acquire(t, j)
	c, ids := manyConversations(5000)
	for _, what := range []string{"new", "known"} {
		before, began := p.requests.Load(), time.Now()
		mustCommit(t, l, c)
		written := time.Since(began)
		got := delivered(t, j, ids...)
		requests, took := p.requests.Load()-before, time.Since(began)
		t.Logf("%s: %v, of which the commit %v; %d requests", what, took, written, requests)
		if len(got) != len(ids) || requests > 500 {
			t.Errorf("%s: %d conversations in %d requests", what, len(got), requests)
		}
	}
}

// BenchmarkPostgresCommit commits and reads 5,000 conversations.
func BenchmarkPostgresCommit(b *testing.B) {
	s, err := postgresRef(postgrestest.New(b)).Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	j, err := s.Job(b.Context(), "job", "label")
	if err != nil {
		b.Fatal(err)
	}
	_, l, err := j.Acquire(b.Context(), "", quiet)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Release(context.Background())
	c, ids := manyConversations(5000)
	c.due, c.clean, c.rejects = nil, nil, nil
	for b.Loop() {
		if err := l.Commit(b.Context(), "run", c); err != nil {
			b.Fatal(err)
		}
		if _, err := j.Delivered(b.Context(), ids); err != nil {
			b.Fatal(err)
		}
	}
}
