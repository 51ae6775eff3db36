//go:build unix

package extract

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// TestPostgresBehindPgBouncer reads from several sources at once over two
// sessions, which belong to others between the pages.
func TestPostgresBehindPgBouncer(t *testing.T) {
	dsn := postgrestest.New(t)
	const conversations = 200
	pgMany(t, dsn, conversations)
	pooled := postgrestest.Pooler(t, dsn)
	cfg := PostgresConfig{DSN: pooled, Page: 20, Messages: pgTable("messages"), Agents: []Set{{Query: "SELECT 1 AS id, 'Ann' AS name"}}}
	var all [6][]Transcript
	var wg sync.WaitGroup
	for i := range all {
		p := pgOpen(t, cfg)
		if _, err := p.Bound(t.Context()); err != nil {
			t.Fatal(err)
		}
		if agents, err := p.Directory(t.Context()); err != nil || len(agents) != 1 {
			t.Fatalf("%v, %v", agents, err)
		}
		wg.Go(func() { all[i] = pgPages(t, p.Pass(Pass{Lower: 1, Upper: pgUpper, Full: i%2 == 0}), "") })
	}
	wg.Wait()
	for _, transcripts := range all {
		checkMany(t, transcripts, conversations)
	}
	conn, err := pgx.Connect(t.Context(), pooled+"&default_query_exec_mode=exec")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for range 10 {
		var timeout, readOnly string
		if err := conn.QueryRow(t.Context(), `SELECT current_setting('statement_timeout'), current_setting('transaction_read_only')`).Scan(&timeout, &readOnly); err != nil {
			t.Fatal(err)
		}
		if timeout != "0" || readOnly != "off" {
			t.Fatalf("another program's session has statement_timeout %s and transaction_read_only %s", timeout, readOnly)
		}
	}
}

// TestPostgresStandby reads from a standby that cancels what is in the way of
// replaying, and goes on reading there once it has taken over.
func TestPostgresStandby(t *testing.T) {
	primary := postgrestest.Start(t)
	const conversations = 20
	pgMany(t, primary.DSN(), conversations)
	pgExec(t, primary.DSN(), `CREATE TABLE counter (n int)`, `INSERT INTO counter VALUES (0)`)
	standby := primary.Standby(t)

	t.Run("OK mark", func(t *testing.T) {
		mark, followed := pgMark(t, standby.DSN()), pgMark(t, primary.DSN())
		if !mark.Standby || mark.Database != followed.Database || mark.Cluster != followed.Cluster {
			t.Errorf("the standby has %+v, its primary %+v", mark, followed)
		}
		if other := pgMark(t, postgrestest.New(t)); other.Cluster == mark.Cluster {
			t.Errorf("another cluster has %+v, the standby %+v", other, mark)
		}
	})
	t.Run("OK conflicts", func(t *testing.T) {
		again := make(chanWriter, 100)
		p := pgOpen(t, PostgresConfig{DSN: standby.DSN(), Log: slog.New(slog.NewTextHandler(again, nil)),
			Messages: []Set{{Query: `SELECT * FROM messages WHERE pg_sleep(0.002) IS NOT NULL`}}})
		if bound, err := p.Bound(t.Context()); err != nil || !bound.Standby {
			t.Errorf("bound %+v, %v", bound, err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { vacuumUntil(ctx, t, primary.DSN()) })
		var conflict string
		wg.Go(func() {
			for conflict == "" {
				select {
				case line := <-again:
					if strings.Contains(line, "SQLSTATE 40001") {
						conflict = line
					}
				case <-ctx.Done():
					return
				}
			}
			stop()
		})
		checkMany(t, pgPages(t, pgFull(p), ""), conversations)
		stop()
		wg.Wait()
		if conflict == "" {
			t.Error("nothing was in the way of replaying")
		}
	})
	t.Run("OK failover", func(t *testing.T) {
		hosts := strings.Replace(primary.DSN(), primary.Address(), primary.Address()+","+standby.Address(), 1)
		p := pgOpen(t, PostgresConfig{DSN: hosts, Messages: pgTable("messages"), Page: 3})
		r := pgReader(t, pgFull(p), "")
		pages := 0
		all := pgRest(t, r, func([]Transcript) {
			if pages++; pages == 2 {
				primary.Stop(t)
				standby.Promote(t)
			}
		})
		checkMany(t, all, conversations)
		if bound, err := p.Bound(t.Context()); err != nil || bound.Standby {
			t.Errorf("bound %+v, %v", bound, err)
		}
	})
}

// chanWriter hands on what is logged.
type chanWriter chan string

func (w chanWriter) Write(b []byte) (int, error) {
	select {
	case w <- string(b):
	default: // nobody has asked for a long time
	}
	return len(b), nil
}

// vacuumUntil makes dead rows and removes them, which snapshots of a standby
// that are older forbid.
func vacuumUntil(ctx context.Context, t *testing.T, dsn string) {
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	for ctx.Err() == nil {
		for _, sql := range []string{`UPDATE counter SET n = n + 1`, `VACUUM counter`} {
			if _, err := conn.Exec(context.Background(), sql); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

func TestPostgresTLS(t *testing.T) {
	server := postgrestest.Start(t)
	pgMany(t, server.DSN(), 2)
	authority := server.UseTLS(t, time.Now().Add(time.Hour), "127.0.0.1", "db.example")
	open := func(host, query string) (*Postgres, error) {
		_, port, _ := strings.Cut(server.Address(), ":")
		dsn := fmt.Sprintf("postgres://postgres@%s:%s/postgres?%s", host, port, query)
		return pgTryOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages")})
	}
	root := "&sslrootcert=" + url.QueryEscape(authority)
	for _, query := range []string{"sslmode=verify-full" + root, "sslmode=verify-ca" + root, "sslmode=require"} {
		p, err := open("127.0.0.1", query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		var encrypted bool
		if err := p.pool.QueryRow(t.Context(), `SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`).Scan(&encrypted); err != nil || !encrypted {
			t.Errorf("%s: encrypted: %t, %v", query, encrypted, err)
		}
		checkMany(t, pgPages(t, pgFull(p), ""), 2)
	}
	refused := func(name, host, query string, as any, try string) {
		t.Helper()
		var connection *ConnectionError
		_, err := open(host, query)
		if !errors.As(err, &connection) || !errors.As(err, as) || !strings.Contains(connection.Try, try) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("unknown authority", "127.0.0.1", "sslmode=verify-full", new(x509.UnknownAuthorityError), "sslrootcert=FILE")
	refused("another host", "localhost", "sslmode=verify-full"+root, new(x509.HostnameError), "as its certificate does")
	authority = server.UseTLS(t, time.Now().Add(-time.Minute), "127.0.0.1")
	refused("expired", "127.0.0.1", "sslmode=verify-full&sslrootcert="+url.QueryEscape(authority), new(x509.CertificateInvalidError), "a certificate that is good")
}
