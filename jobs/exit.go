package jobs

import (
	"context"
	"errors"
)

// The exit codes of the program. Kubernetes manifests rely on them.
const (
	ExitDone        = 0  // everything below the bound has its outcome
	ExitUnexpected  = 1  // an unexpected error
	ExitUsage       = 2  // usage, job file, mapping
	ExitDiffers     = 3  // settings, store or database differ from what the job ran with
	ExitRefused     = 4  // the destination refuses
	ExitRejects     = 5  // too many rejects
	ExitVerify      = 6  // events are missing or changed
	ExitInterrupted = 75 // interrupted or temporarily impossible: run again
	ExitTakenOver   = 76 // another owner took over
	ExitLeaseHeld   = 77 // another run holds the lease
)

// Error is an error that says how the program ends and what a person can do.
type Error struct {
	Exit int
	Err  error
	Try  string // what to do; may be empty
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// ErrInterrupted is the error of a run that was told to stop before its end.
var ErrInterrupted = &Error{Exit: ExitInterrupted, Err: errors.New("interrupted before the end"), Try: "run it again: it continues from its checkpoint"}

// ExitCode returns the exit code of an error.
func ExitCode(err error) int {
	var e *Error
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &e):
		return e.Exit
	case errors.Is(err, context.Canceled), temporarySQLite(err):
		return ExitInterrupted
	}
	return ExitUnexpected
}
