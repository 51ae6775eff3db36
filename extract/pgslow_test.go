//go:build unix

package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// onWarning does something when a warning is logged.
type onWarning struct {
	slog.Handler
	do func()
}

func (w onWarning) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn {
		w.do()
	}
	return nil
}

// TestPostgresTooSlow: a page that the server breaks off, since it takes too long,
// is read in smaller ones, which stay small for a while.
func TestPostgresTooSlow(t *testing.T) {
	const conversations, page = 120, 8
	for name, code := range map[string]string{"a statement": "57014", "a transaction": "25P04", "replay on a standby": "40001"} {
		t.Run(name, func(t *testing.T) {
			dsn := postgrestest.New(t)
			pgMany(t, dsn, conversations)
			pgExec(t, dsn, `CREATE TABLE trouble (code) AS SELECT '`+code+`'`,
				`CREATE FUNCTION untroubled(text) RETURNS text LANGUAGE plpgsql STABLE AS $$ DECLARE breaks text := (SELECT code FROM trouble);
					BEGIN IF breaks IS NOT NULL THEN RAISE EXCEPTION 'broken off' USING ERRCODE = breaks; END IF; RETURN $1; END $$`)
			log := slog.New(onWarning{slog.NewTextHandler(io.Discard, nil), func() { pgExec(t, dsn, `DELETE FROM trouble`) }})
			p := pgOpen(t, PostgresConfig{DSN: dsn, Page: page, Log: log, AllowSlow: true, Messages: []Set{
				{Query: `SELECT conversation_id, message_id, sent_at, changed_at, role, author_id, untroubled(body) AS body FROM messages`},
			}})
			small, large := 0, 0
			checkMany(t, pgRest(t, pgReader(t, pgFull(p), ""), func(read []Transcript) {
				switch {
				case len(read) == page/2 && large == 0:
					small++
				case len(read) == page && small > 0:
					large++
				}
			}), conversations)
			if small < steadyPages || large == 0 {
				t.Errorf("%d pages were half as large, and then %d as large as before: want at least %d and some", small, large, steadyPages)
			}
		})
	}
}

// TestPostgresErrMoves: a page that has other conversations whenever it is read
// again is not tried for ever.
func TestPostgresErrMoves(t *testing.T) {
	dsn := postgrestest.New(t)
	const conversations = 20
	pgMany(t, dsn, conversations)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Page: 4})
	r := pgReader(t, pgFull(p), pgFull(p).After(""))
	p.policy.budget = 1
	moves := func() error {
		if err := r.ahead(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-r.pages[0].ended
		r.pages[0].err = errPageMoved
		_, err := r.first(t.Context())
		return err
	}
	for round := range 2 { // an error is not the end
		if err := moves(); err != nil {
			t.Errorf("round %d: the first time: %v", round, err)
		}
		var unavailable *SourceUnavailable
		if err := moves(); !errors.As(err, &unavailable) || !errors.Is(err, errPageMoved) {
			t.Errorf("round %d: got %v, want a SourceUnavailable", round, err)
		}
	}
	checkMany(t, pgRest(t, r, nil), conversations)
}

func TestNoTransactionTimeout(t *testing.T) {
	for version, want := range map[string]string{
		"": "", "somewhere": "", "12.0": "", "15.14 (Debian 15.14-0+deb12u1)": "", "16.10": "",
		"17.0": noTransactionTimeout, "17beta1": noTransactionTimeout, "18.1": noTransactionTimeout,
	} {
		if got, err := serverSettings(version); got != want || err != nil {
			t.Errorf("%q: got %q and %v, want %q", version, got, err, want)
		}
	}
	for _, version := range []string{"8.0.2", "9.6.24", "11.22 (Debian 11.22-1)"} {
		var refused *ConnectionError
		if _, err := serverSettings(version); !errors.As(err, &refused) || transient(err) {
			t.Errorf("%q: %v", version, err)
		}
	}
	if err := fmt.Errorf("read: %w", &pgconn.PgError{Code: "25P04"}); !transient(err) {
		t.Error("a transaction that took too long is no error that passes")
	}
}
