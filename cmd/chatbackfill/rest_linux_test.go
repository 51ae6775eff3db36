package main

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// atRest is how much memory a daemon that waits may take, in kB.
const atRest = 40 << 10

// TestDaemonRestsSmall looks how much memory a daemon takes that waits: after its
// start, after a run, and after it was asked how it is.
func TestDaemonRestsSmall(t *testing.T) {
	const resting = `"msg":"(nothing runs: memory is given back)"`
	j := newJob(t, 200, toFile+rarely)
	daemon, _, log := j.schedule("-v")
	waitFor(t, log, resting)
	checkSmall(t, daemon, "after its start")
	signalTo(t, daemon, syscall.SIGTERM)
	if err := daemon.Wait(); err != nil {
		t.Fatal(err)
	}
	j.missSlots()
	daemon, address, log := j.schedule("-v")
	waitFor(t, log, `"msg":"(done)"`)
	waitFor(t, log, resting)
	checkSmall(t, daemon, "after a run")
	for range 10 {
		ask(t, "http://"+address+"/healthz")
		ask(t, "http://"+address+"/metrics")
	}
	checkSmall(t, daemon, "after it was asked")
}

// missSlots makes a job that was looked after look as if nobody did for years.
func (j *job) missSlots() {
	j.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(j.dir, "chats.state.db"))
	if err != nil {
		j.t.Fatal(err)
	}
	defer db.Close()
	const years = 5 * 366 * 24 * time.Hour
	if _, err := db.Exec(`UPDATE slots SET slot = slot - $1`, years.Milliseconds()); err != nil {
		j.t.Fatal(err)
	}
}

func checkSmall(t *testing.T, daemon *exec.Cmd, when string) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", daemon.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	resident := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if resident == nil {
		t.Fatalf("the daemon has ended\n%s", status)
	}
	if kB, err := strconv.Atoi(string(resident[1])); err != nil || kB >= atRest {
		t.Errorf("%s a daemon with nothing to do takes more than %d kB\n%s", when, atRest, status)
	}
}
