package jobs

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/chatbackfill/chatbackfill/extract"
)

// TestClassifySpill: what may be mended while nobody looks is tried again.
func TestClassifySpill(t *testing.T) {
	for cause, exit := range map[error]int{syscall.ENOSPC: ExitInterrupted, syscall.EIO: ExitInterrupted, fs.ErrNotExist: ExitUnexpected} {
		err := classify(&extract.SpillError{Dir: "/tmp", Err: cause, Try: "make room there"})
		if e, ok := err.(*Error); !ok || e.Exit != exit || e.Try != "make room there" {
			t.Errorf("%v: exit %d, want %d", err, ExitCode(err), exit)
		}
	}
}
