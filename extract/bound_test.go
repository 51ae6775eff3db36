//go:build unix

package extract

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// pgConnect opens a connection that lasts as long as the test.
func pgConnect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// pgDo runs statements on a connection.
func pgDo(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatalf("run %s: %v", sql, err)
		}
	}
}

func pgBound(t *testing.T, p *Postgres) Bound {
	t.Helper()
	b, err := p.Bound(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const pgEmpty = `CREATE TABLE messages (conversation_id int, sent_at timestamptz DEFAULT now(), changed_at timestamptz DEFAULT now(), role text DEFAULT 'agent', body text)`

func TestBoundOK(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, pgEmpty)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Settle: 5 * time.Minute, Overlap: time.Hour})
	b := pgBound(t, p)
	if b.Now.Sub(b.Upper) < 5*time.Minute || b.Now.Sub(b.Upper) > 5*time.Minute+time.Microsecond || b.PID != 0 || b.Standby || b.Hidden != 0 || b.Warning() != "" {
		t.Errorf("got %+v", b)
	}
	if age := time.Since(b.Now.Time()); age < -time.Minute || age > time.Minute {
		t.Errorf("the database's clock is %s off", age)
	}
}

func TestBoundHeldBack(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, pgEmpty)
	var logged bytes.Buffer
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Overlap: 2 * time.Hour, Log: slog.New(slog.NewTextHandler(&logged, nil))})

	other := pgConnect(t, dsn)
	pgDo(t, other, `BEGIN`, `SELECT now()`)
	var started time.Time
	if err := other.QueryRow(context.Background(), `SELECT now()`).Scan(&started); err != nil {
		t.Fatal(err)
	}
	b := pgBound(t, p)
	if b.Upper != TimeOf(started) || b.PID != int32(other.PgConn().PID()) {
		t.Errorf("an open transaction: got %+v, want %s", b, TimeOf(started))
	}
	if b.Warning() != "" {
		t.Errorf("a young transaction is warned of: %s", b.Warning())
	}
	pgDo(t, other, `INSERT INTO messages VALUES (1)`, `PREPARE TRANSACTION 'waiting'`)
	b = pgBound(t, p)
	if behind := b.Now.Sub(b.Upper); behind < 2*time.Hour || behind > 2*time.Hour+time.Minute || b.Prepared != "waiting" || b.PID != 0 {
		t.Errorf("a prepared transaction: got %+v", b)
	}
	if !strings.Contains(logged.String(), "waiting") {
		t.Errorf("logged %q", logged.String())
	}
	pgDo(t, other, `COMMIT PREPARED 'waiting'`)

	pgDo(t, other, `SET application_name = 'chatbackfill'`, `BEGIN`, `SELECT 1`)
	if b := pgBound(t, p); b.PID != 0 {
		t.Errorf("a connection of ours holds the bound back: %+v", b)
	}
}

// TestLateCommit is about rows that become visible after younger ones.
func TestLateCommit(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, pgEmpty)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Overlap: time.Millisecond})
	late := pgConnect(t, dsn)
	pgDo(t, late, `BEGIN`, `INSERT INTO messages VALUES (1)`)
	pgExec(t, dsn, `INSERT INTO messages VALUES (2)`)

	seen := map[string]int{}
	var lower Time
	read := func() Bound {
		b := pgBound(t, p)
		for _, c := range pgPages(t, p.Pass(Pass{Lower: lower, Upper: b.Upper}), "") {
			seen[c.ConversationID] += c.Rows()
		}
		lower = NextLower(lower, b.Upper, p.cfg.Overlap)
		return b
	}
	if b := read(); b.PID == 0 || len(seen) != 0 {
		t.Errorf("before the commit: %+v, read %v", b, seen)
	}
	pgDo(t, late, `COMMIT`)
	read()
	if seen["1"] != 1 || seen["2"] != 1 {
		t.Errorf("after the commit: read %v", seen)
	}
}

func TestNextLower(t *testing.T) {
	for _, c := range []struct{ lower, upper, want Time }{
		{0, Time(3 * time.Hour), Time(2 * time.Hour)},
		{Time(3 * time.Hour), Time(3 * time.Hour), Time(3 * time.Hour)},
		{Time(1 * time.Hour), Time(5 * time.Hour), Time(4 * time.Hour)},
	} {
		if got := NextLower(c.lower, c.upper, time.Hour); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
