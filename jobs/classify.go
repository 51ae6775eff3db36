package jobs

import (
	"context"
	"errors"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
)

// classify gives errors of sources and destinations their exit code and what to
// try. Of several that are joined each is given its own.
func classify(err error) error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var classified []error
		for _, one := range several.Unwrap() {
			classified = append(classified, classify(one))
		}
		return errors.Join(classified...)
	}
	var (
		classed       *Error
		refused       *load.Refused
		unavailable   *load.Unavailable
		misconfigured *load.Misconfigured
		mapping       *extract.MappingError
		file          *extract.FileError
		spill         *extract.SpillError
		down          *extract.SourceUnavailable
		connection    *extract.ConnectionError
		slow          *extract.SlowError
		changed       *extract.SchemaChanged
	)
	switch {
	case err == nil || errors.As(err, &classed):
		return err
	case errors.As(err, &refused):
		return &Error{Exit: ExitRefused, Err: err, Try: refused.Try()}
	case errors.As(err, &unavailable):
		return &Error{Exit: ExitInterrupted, Err: err, Try: unavailable.Try()}
	case errors.As(err, &misconfigured):
		return &Error{Exit: ExitUsage, Err: err, Try: misconfigured.Try()}
	case errors.As(err, &mapping):
		return &Error{Exit: ExitUsage, Err: err, Try: mapping.Try}
	case errors.Is(err, extract.ErrChanged):
		return &Error{Exit: ExitInterrupted, Err: err, Try: "run it again once the export is complete"}
	case errors.As(err, &file):
		return &Error{Exit: ExitUsage, Err: err, Try: file.Try}
	case errors.As(err, &spill) && extract.DiskFails(spill):
		return &Error{Exit: ExitInterrupted, Err: err, Try: spill.Try}
	case errors.As(err, &spill):
		return &Error{Exit: ExitUnexpected, Err: err, Try: spill.Try}
	case errors.As(err, &down):
		return &Error{Exit: ExitInterrupted, Err: err, Try: "run it again: it continues from its checkpoint"}
	case errors.As(err, &connection):
		return &Error{Exit: ExitUsage, Err: err, Try: connection.Try}
	case errors.As(err, &slow):
		return &Error{Exit: ExitUsage, Err: err, Try: "create the index, or run with --allow-slow"}
	case errors.As(err, &changed):
		return &Error{Exit: ExitInterrupted, Err: err, Try: "run it again: it says which columns the job file has to name otherwise"}
	case errors.Is(err, load.ErrStopped), errors.Is(err, context.Canceled):
		return ErrInterrupted
	}
	return err
}

// Classify gives errors of sources their exit code and what to try.
func Classify(err error) error { return classify(err) }
