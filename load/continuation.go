package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Continuation is how files go on that earlier runs of a job have begun.
type Continuation struct {
	State json.RawMessage // what the last checkpoint has of them; nil: nothing
	// Permit is asked once no other process can write the files and before
	// anything of them is changed. An error says that State is not the last, and
	// is returned. It may be nil.
	Permit func() error
	Logger *slog.Logger // told of files that are gone; may be nil
}

// hold keeps other processes from writing what f is, as long as this one has it
// open. A process that was stopped, and whose job another one has taken over, may
// be continued at any time.
func (c *Continuation) hold(f *os.File) error {
	// Where files cannot be locked the lease has to do.
	if err := extract.TryLock(f); errors.Is(err, syscall.EWOULDBLOCK) {
		return &Unavailable{
			Problem: fmt.Sprintf("open %s: another process is writing it", f.Name()),
			Advice:  "wait for its end; if it was stopped, continue or end it",
		}
	}
	if c.Permit == nil {
		return nil
	}
	return c.Permit()
}
