package main

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// unanswered starts a job into a Segment that never answers, and returns once a
// request is on its way.
func unanswered(t *testing.T, drain string) (*job, *process, *segmenttest.Server) {
	t.Helper()
	server := segmenttest.New(t)
	arrived := make(chan struct{}, 100)
	server.Fault(func(segmenttest.Request) segmenttest.Answer {
		arrived <- struct{}{}
		return segmenttest.Answer{Never: true}
	})
	j := newJob(t, 50, "drain: "+drain+"\ndestination: {segment: {source: test, write_key: key, endpoint: \""+server.URL+"\"}}\n")
	p := j.start("run", "job.yaml")
	// One that does not stop is killed, and exits otherwise than expected.
	hung := time.AfterFunc(2*time.Minute, func() { _ = p.Process.Kill() })
	t.Cleanup(func() { hung.Stop() })
	<-arrived
	return j, p, server
}

// stopped checks that the program exits as one that was interrupted, and that
// the next run delivers everything.
func stopped(t *testing.T, j *job, p *process, server *segmenttest.Server) {
	t.Helper()
	if code := p.exit(); code != jobs.ExitInterrupted {
		t.Fatalf("exit %d\n%s", code, p.output.String())
	}
	server.Fault(segmenttest.Always(segmenttest.Answer{}))
	if again := j.start("run", "job.yaml"); again.exit() != jobs.ExitDone || len(server.Accepted()) == 0 {
		t.Fatalf("the next run accepted %d events\n%s", len(server.Accepted()), again.output.String())
	}
}

// TestSecondSignalStopsAtOnce: a second signal does not wait for what is under
// way, however long it may take.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	j, p, server := unanswered(t, "1h")
	// Of two equal signals that are pending at once the system delivers one.
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		if err := p.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	stopped(t, j, p, server)
}

// TestDrainEnds: what is under way when the first signal comes has only so long.
func TestDrainEnds(t *testing.T) {
	j, p, server := unanswered(t, "100ms")
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	stopped(t, j, p, server)
}
