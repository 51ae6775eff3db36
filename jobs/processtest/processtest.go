//go:build unix

// Package processtest does to the processes that tests start what machines do to
// them.
package processtest

import (
	"os"
	"syscall"
	"testing"
)

// Suspend stops a process that does not end meanwhile, and returns once it has
// stopped: until the thread that is told has a processor, the others go on.
func Suspend(t testing.TB, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.Pid, &status, syscall.WUNTRACED, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || !status.Stopped() {
			t.Fatalf("suspend a process: %v, status %#x", err, status)
		}
		return
	}
}
