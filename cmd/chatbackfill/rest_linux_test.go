package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

// atRest is how much memory a daemon that waits may take, in kB.
const atRest = 40 << 10

// TestDaemonRestsSmall looks how much memory a daemon takes that waits: after its
// start, after a run, and after it was asked how it is.
func TestDaemonRestsSmall(t *testing.T) {
	j := newJob(t, 200, toFile+rarely)
	daemon, _, log := j.schedule("-v")
	waitFor(t, log, resting)
	checkSmall(t, daemon, "after its start")
	signalTo(t, daemon, syscall.SIGTERM)
	if err := daemon.Wait(); err != nil {
		t.Fatal(err)
	}
	j.missSlots(1)
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
