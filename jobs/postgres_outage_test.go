//go:build unix

package jobs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// proxy hands on what clients and a server say to each other. Once told to, it
// lets a COMMIT through and keeps the answer to itself.
type proxy struct {
	listener net.Listener
	server   string
	lose     atomic.Bool
	lost     atomic.Int64
	requests atomic.Int64 // pieces read from clients: at least one for each round trip
	sessions sync.WaitGroup
}

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: server}
	p.sessions.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.sessions.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.sessions.Go(func() { p.session(client) })
	}
}

func (p *proxy) session(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	var losing atomic.Bool
	p.sessions.Go(func() {
		defer client.Close()
		answer := make([]byte, 64<<10)
		for {
			n, err := server.Read(answer)
			if err != nil || losing.Load() { // the server has answered: it has committed
				return
			}
			client.Write(answer[:n])
		}
	})
	request := make([]byte, 64<<10)
	for {
		n, err := client.Read(request)
		if err != nil {
			return
		}
		p.requests.Add(1)
		if bytes.Contains(request[:n], []byte("commit\x00")) && p.lose.CompareAndSwap(true, false) {
			losing.Store(true)
			p.lost.Add(1)
		}
		server.Write(request[:n])
	}
}

// through returns a DSN that goes through the proxy.
func (p *proxy) through(t *testing.T, dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.listener.Addr().String()
	return u.String()
}

func hostOf(t *testing.T, dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func TestPostgresAmbiguousCommit(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dsn := postgrestest.New(t)
	p := startProxy(t, hostOf(t, dsn))
	s, err := postgresRef(p.through(t, dsn)).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		s.Close()
		p.listener.Close()
		p.sessions.Wait()
	}()
	j := testJob(t, s, "job")
	_, l, err := j.Acquire(t.Context(), "", quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release(t.Context())
	p.lose.Store(true)
	mustCommit(t, l, commit{
		ledger:  []ledgerEntry{{"c", 5, entryOf(1, 10, 2, 20)}},
		rejects: []extract.Reject{{Locator: "x", Reason: extract.BadID}},
		due:     map[string]extract.Time{"c": 9},
		advance: &Checkpoint{Pass: 1, Position: "p", Tally: newCounts()},
	})
	if p.lost.Load() != 1 {
		t.Fatalf("%d answers were lost", p.lost.Load())
	}
	var entries []byte
	if err := s.db.QueryRowContext(t.Context(), `SELECT entries FROM ledger`).Scan(&entries); err != nil || len(entries) != 2*entrySize {
		t.Errorf("the ledger has %d bytes of entries, want %d: %v", len(entries), 2*entrySize, err)
	}
	at, err := j.Checkpoint(t.Context(), "")
	rejects, rejectsErr := j.Rejects(t.Context(), RejectOpen)
	due, dueErr := j.Due(t.Context())
	if at.Position != "p" || len(rejects) != 1 || len(due) != 1 || errors.Join(err, rejectsErr, dueErr) != nil {
		t.Errorf("position %q, %d rejects, %d due notes", at.Position, len(rejects), len(due))
	}
}

// TestPostgresLostLeaseAfterAmbiguousCommit loses the answer to a commit, and the
// lease before it is tried again.
func TestPostgresLostLeaseAfterAmbiguousCommit(t *testing.T) {
	dsn := postgrestest.New(t)
	p := startProxy(t, hostOf(t, dsn))
	behind, beside := openState(t, postgresRef(p.through(t, dsn))), openState(t, postgresRef(dsn))
	var next *Lease
	_, zombie := acquireAnd(t, testJob(t, behind, "job"), slog.New(onRetry(func() {
		j := testJob(t, beside, "job")
		expire(t, &Lease{job: j})
		_, next = acquire(t, j)
		mustCommit(t, next, commit{advance: &Checkpoint{Pass: 7, Position: "later", Tally: newCounts()}})
	})))
	p.lose.Store(true)
	err := zombie.Commit(t.Context(), "run", commit{
		ledger:  []ledgerEntry{{"c", 5, entryOf(1, 10)}},
		advance: &Checkpoint{Pass: 1, Position: "earlier", Tally: newCounts()},
	})
	if !errors.Is(err, errFenced) || next == nil {
		t.Errorf("commit: %v", err)
	}
	if at, err := next.job.Checkpoint(t.Context(), ""); at.Position != "later" || err != nil {
		t.Errorf("the position is %q, %v", at.Position, err)
	}
	if got := delivered(t, next.job, "c"); got["c"].Start != 5 {
		t.Error("what was accepted is not in the ledger")
	}
}

// onRetry is a handler of logs that calls a function between the attempts of a
// commit.
type onRetry func()

func (f onRetry) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "cannot write to the state store; trying again" {
		f()
	}
	return nil
}

func (f onRetry) Enabled(context.Context, slog.Level) bool { return true }
func (f onRetry) WithAttrs([]slog.Attr) slog.Handler       { return f }
func (f onRetry) WithGroup(string) slog.Handler            { return f }

func TestPostgresKilledWhileCommitting(t *testing.T) {
	server := postgrestest.Start(t)
	s := openState(t, postgresRef(server.DSN()))
	j := testJob(t, s, "job")
	retried := make(chan struct{}, 1000)
	_, l := acquireAnd(t, j, slog.New(onRetry(func() { retried <- struct{}{} })))
	committed := make(chan int)
	stop := make(chan struct{})
	go func() {
		n := 0
		defer func() { committed <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			err := l.Commit(t.Context(), "run", commit{
				ledger:  []ledgerEntry{{"c", 1, entryOf(uint64(n+1), 1)}},
				advance: &Checkpoint{Pass: int64(n + 1), Tally: newCounts()},
			})
			if err != nil {
				t.Error(err)
				return
			}
			n++
		}
	}()
	server.Stop(t)
	<-retried
	server.Start(t)
	close(stop)
	n := <-committed
	at, err := j.Checkpoint(t.Context(), "")
	if at.Pass != int64(n) || err != nil {
		t.Errorf("pass %d, %v; %d were committed", at.Pass, err, n)
	}
	if got := delivered(t, j, "c"); len(got["c"].Events) != n {
		t.Errorf("%d entries, want %d", len(got["c"].Events), n)
	}
}

func TestPostgresReadOnlyWhileCommitting(t *testing.T) {
	dsn := postgrestest.New(t)
	s := openState(t, postgresRef(dsn))
	beside := connectBeside(t, dsn) // from before, and so able to undo it
	readOnly := func(on string) {
		const statement = `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = `
		if _, err := beside.Exec(t.Context(), statement+on+`', current_database()); END $$`); err != nil {
			t.Error(err)
		}
	}
	tries := 0
	_, l := acquireAnd(t, testJob(t, s, "job"), slog.New(onRetry(func() {
		if tries++; tries == 2 {
			readOnly("off")
		}
	})))
	readOnly("on")
	s.db.SetMaxIdleConns(0) // closes those that are still allowed to write
	s.db.SetMaxIdleConns(4)
	mustCommit(t, l, commit{advance: &Checkpoint{Pass: 1, Position: "p", Tally: newCounts()}})
	if tries != 2 {
		t.Errorf("it was tried again %d times, want 2", tries)
	}
}

// TestPostgresErrStoppedDuringOutage stops a run whose store is away.
func TestPostgresErrStoppedDuringOutage(t *testing.T) {
	server := postgrestest.Start(t)
	s := openState(t, postgresRef(server.DSN()))
	ctx, cancel := context.WithCancel(t.Context())
	_, l, err := testJob(t, s, "job").Acquire(ctx, "", slog.New(onRetry(cancel)))
	if err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	began := time.Now()
	err = l.Commit(context.WithoutCancel(ctx), "run", commit{advance: &Checkpoint{Pass: 1, Tally: newCounts()}})
	var e *Error
	if !errors.As(err, &e) || e.Exit != ExitInterrupted || e.Try == "" {
		t.Errorf("commit: %v", err)
	}
	if err := l.Release(context.WithoutCancel(ctx)); ExitCode(err) != ExitInterrupted {
		t.Errorf("release: %v", err)
	}
	if took := time.Since(began); took >= storePatience {
		t.Errorf("it took %v", took)
	}
	if _, err := postgresRef(server.DSN()).Open(t.Context()); ExitCode(err) != ExitInterrupted {
		t.Errorf("open: %v", err)
	}
}

// TestPostgresErrSilentServer has a server that accepts connections and then
// says nothing.
func TestPostgresErrSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = postgresRef("postgres://u:" + canary + "@" + l.Addr().String() + "/d?connect_timeout=1").Open(t.Context())
	if ExitCode(err) != ExitInterrupted || strings.Contains(err.Error(), canary) {
		t.Errorf("open: %v", err)
	}
}
