//go:build unix

package main

import (
	"database/sql"
	"encoding/json"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/jobs/processtest"
)

// resting is what a daemon logs, with -v, when it has nothing to do.
const resting = `"msg":"(nothing runs: memory is given back)"`

// TestScheduleSuspended suspends a daemon while five of its slots come: once it
// goes on one run makes up for them.
func TestScheduleSuspended(t *testing.T) {
	j := newJob(t, 10, toFile+rarely)
	daemon, _, log := j.schedule("-v")
	waitFor(t, log, resting)
	processtest.Suspend(t, daemon.Process)
	j.missSlots(5)
	signalTo(t, daemon, syscall.SIGCONT)
	signalTo(t, daemon, syscall.SIGHUP) // so that it looks at once
	if missed := waitFor(t, log, `"msg":"done",.*"missed":(\d+),`); missed != "4" {
		t.Errorf("the run made up for %s slots besides its own, want 4", missed)
	}
	waitFor(t, log, resting)
	signalTo(t, daemon, syscall.SIGTERM)
	if err := daemon.Wait(); err != nil {
		t.Fatal(err)
	}
	var runs []jobs.RunRecord
	stdout, _, _ := command(t, "runs", filepath.Join(j.dir, "job.yaml"), "-o", "json")
	if err := json.Unmarshal([]byte(stdout), &runs); err != nil || len(runs) != 1 {
		t.Errorf("runs %s, %v", stdout, err)
	}
}

// missSlots makes a job that was looked after look as if nobody did while the
// last n of its slots came.
func (j *job) missSlots(n int) {
	j.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(j.dir, "chats.state.db"))
	if err != nil {
		j.t.Fatal(err)
	}
	defer db.Close()
	since := time.Now().AddDate(-4*n, 0, 0)
	if _, err := db.Exec(`UPDATE slots SET slot = $1`, since.UnixMilli()); err != nil {
		j.t.Fatal(err)
	}
}
