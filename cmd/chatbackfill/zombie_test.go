//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/jobs/processtest"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// sharedJob is a job whose state several machines could use.
type sharedJob struct {
	*job
	state *pgx.Conn
}

func newSharedJob(t *testing.T, conversations int, destination string) *sharedJob {
	t.Helper()
	dsn := postgrestest.New(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), `SET search_path = chatbackfill`); err != nil {
		t.Fatal(err)
	}
	return &sharedJob{newJob(t, conversations, destination+"\nstate: "+dsn+"\n"), conn}
}

// ask returns the one value that a query yields, as text; "" if the table is not
// there yet or has no row.
func (j *sharedJob) ask(query string) string {
	j.t.Helper()
	var value string
	if err := j.state.QueryRow(j.t.Context(), "SELECT ("+query+")::text").Scan(&value); err != nil {
		return ""
	}
	return value
}

const (
	checkpoint = `SELECT string_agg(c::text, ' ') FROM checkpoints c`
	unfinished = `SELECT 1 FROM checkpoints WHERE NOT done`
	delivered  = `SELECT sum(length(entries) / 16) FROM ledger`
)

// stop stops a process as a machine that is suspended does, for longer than its
// lease lasts.
func (j *sharedJob) stop(p *process) {
	j.t.Helper()
	processtest.Suspend(j.t, p.Process)
	if _, err := j.state.Exec(j.t.Context(), `UPDATE leases SET expires_at = 0`); err != nil {
		j.t.Fatal(err)
	}
}

func (j *sharedJob) run(want int, args ...string) string {
	j.t.Helper()
	p := j.start(append([]string{"run", "job.yaml"}, args...)...)
	if code := p.exit(); code != want {
		j.t.Fatalf("exit %d, want %d\n%s", code, want, p.output.String())
	}
	return p.output.String()
}

// continued continues a process that was stopped, and checks that it finds out.
func (j *sharedJob) continued(p *process) {
	j.t.Helper()
	if err := p.Process.Signal(syscall.SIGCONT); err != nil {
		j.t.Fatal(err)
	}
	if code := p.exit(); code != jobs.ExitTakenOver {
		j.t.Fatalf("exit %d, want %d\n%s", code, jobs.ExitTakenOver, p.output.String())
	}
}

// TestZombieIntoSegment stops a run while its requests are under way, lets
// another one take the job over, and continues it. It can move nothing of the
// other's; but that Segment accepted its events is a fact, and nobody sends them
// again.
func TestZombieIntoSegment(t *testing.T) {
	alone := segmenttest.New(t)
	newJob(t, 1000, intoSegment+alone.URL).leftAlone()
	server := segmenttest.New(t)
	arrived, held := make(chan struct{}, 100), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release() // else the server waits for them when the test fails
	server.Fault(func(r segmenttest.Request) segmenttest.Answer {
		if len(r.IDs) > 1 { // the first event goes alone
			arrived <- struct{}{}
			<-held
		}
		return segmenttest.Answer{}
	})
	j := newSharedJob(t, 1000, intoSegment+server.URL)
	zombie := j.start("run", "job.yaml")
	<-arrived
	j.stop(zombie)
	release()
	server.Fault(nil)
	j.run(jobs.ExitDone, "--limit", "1")
	mark := j.ask(checkpoint)
	before := server.Events()
	j.continued(zombie)
	sent := server.Events() - before
	if at := j.ask(checkpoint); at != mark || mark == "" {
		t.Errorf("the checkpoint was\n%s\nand is\n%s", mark, at)
	}
	if n := j.ask(delivered); n != fmt.Sprint(server.Events()) {
		t.Errorf("the ledger has %s of %d deliveries", n, server.Events())
	}
	if twice := len(server.Duplicates()); twice > 100 {
		t.Errorf("%d events arrived twice: more than the one conversation has that was read meanwhile", twice)
	}
	t.Logf("continued, it sent %d events more", sent)
	twice := server.Duplicates()
	j.run(jobs.ExitDone)
	if again := server.Duplicates(); !slices.Equal(again, twice) {
		t.Errorf("%d events arrived twice, before the last run it were %d", len(again), len(twice))
	}
	sameEvents(t, server, alone)
}

// sameEvents checks that two servers accepted the same events, byte for byte.
func sameEvents(t *testing.T, server, alone *segmenttest.Server) {
	t.Helper()
	want, got := alone.Accepted(), server.Accepted()
	for id, e := range want {
		if twin := got[id]; !bytes.Equal(twin.JSON, e.JSON) {
			t.Fatalf("event %s\n got %s\nwant %s", id, twin.JSON, e.JSON)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d events accepted, want %d", len(got), len(want))
	}
}

// TestZombieIntoFiles: what a run that was stopped has begun to write, no other
// one touches before it has ended; and what it writes after it lost the job does
// not count.
func TestZombieIntoFiles(t *testing.T) {
	left := newJob(t, 9000, toFile)
	left.leftAlone()
	want := lines(left.read("events.ndjson"))
	j, zombie := stoppedHalfWay(t)
	j.run(jobs.ExitInterrupted)
	j.continued(zombie)
	j.run(jobs.ExitDone)
	if got := lines(j.read("events.ndjson")); !slices.Equal(got, want) {
		t.Fatalf("%d lines, want %d; first difference: %s", len(got), len(want), firstDifference(got, want))
	}
	if parts, err := filepath.Glob(filepath.Join(j.dir, "events.*")); err != nil || len(parts) != 1 {
		t.Errorf("files %v, %v", parts, err)
	}
}

// stoppedHalfWay starts a run and stops it after it has begun a pass and before
// it has ended it. One that was too quick for that is followed by another.
func stoppedHalfWay(t *testing.T) (*sharedJob, *process) {
	t.Helper()
	for {
		j := newSharedJob(t, 9000, toFile)
		p := j.start("run", "job.yaml")
		for begun := time.Now(); j.ask(checkpoint) == ""; time.Sleep(time.Millisecond) {
			if time.Since(begun) > 5*time.Minute {
				t.Fatalf("it has begun nothing\n%s", p.output.String())
			}
		}
		j.stop(p)
		if j.ask(unfinished) != "" {
			return j, p
		}
		_ = p.Process.Signal(syscall.SIGCONT)
		p.exit()
	}
}

// TestOneOfMany starts ten runs of a job at once: one goes on, the others say who
// it is, and when it is killed the next takes over.
func TestOneOfMany(t *testing.T) {
	server := segmenttest.New(t)
	server.Fault(segmenttest.Always(segmenttest.Answer{Never: true}))
	j := newSharedJob(t, 50, intoSegment+server.URL)
	type exit struct {
		p    *process
		code int
	}
	exits := make(chan exit)
	var all []*process
	var ending sync.WaitGroup
	for range 10 {
		p := j.start("run", "job.yaml")
		all = append(all, p)
		ending.Go(func() { exits <- exit{p, p.exit()} })
	}
	for range 9 {
		e := <-exits
		if e.code != jobs.ExitLeaseHeld || !bytes.Contains(e.p.output.Bytes(), []byte("job chats is being run by process")) {
			t.Errorf("exit %d\n%s", e.code, e.p.output.String())
		}
		all = slices.DeleteFunc(all, func(p *process) bool { return p == e.p })
	}
	if owner := j.ask(`SELECT pid FROM leases`); owner != fmt.Sprint(all[0].Process.Pid) {
		t.Errorf("process %s has the lease, process %d goes on", owner, all[0].Process.Pid)
	}
	if err := all[0].Process.Signal(os.Kill); err != nil {
		t.Fatal(err)
	}
	<-exits
	ending.Wait()
	server.Fault(nil)
	j.run(jobs.ExitDone)
	if len(server.Duplicates()) > 0 || server.Events() == 0 {
		t.Errorf("%d events, %d twice", server.Events(), len(server.Duplicates()))
	}
}
