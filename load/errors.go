package load

import (
	"errors"
	"io/fs"
	"syscall"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
)

// ErrStopped is returned by Send when the run was told to stop before all
// events were sent.
var ErrStopped = errors.New("send events: told to stop")

// Refused says that the destination does not take events the way the job is set
// up: a wrong key, region or endpoint, or a file that is not the one that was
// written. Trying again does not help.
type Refused struct {
	Problem string
	Advice  string
	Status  int // of Segment's answer; 0 without one

	// IDs are the message ids of the events that Segment refused one after the
	// other, if that is why it stopped. It refuses everything then, so that these
	// events have no outcome; a caller that was given one earlier as a reject, by
	// another call of Send, takes it back.
	IDs []string
	// Since is a time at or after which each of these events' conversations has a
	// message, if there are any.
	Since extract.Time
}

func (e *Refused) Error() string { return e.Problem }

// Try says what a person can do about it.
func (e *Refused) Try() string { return e.Advice }

// Unavailable says that nothing can be delivered now, but may be later.
type Unavailable struct {
	Problem string
	Advice  string
	Status  int           // of Segment's last answer; 0 without one
	After   time.Duration // how long nothing had been accepted; 0 if it is the clock
}

func (e *Unavailable) Error() string { return e.Problem }

// Try says what a person can do about it.
func (e *Unavailable) Try() string { return e.Advice }

// Misconfigured says that a destination cannot be used as the job file has it.
type Misconfigured struct {
	Problem string
	Advice  string
}

func (e *Misconfigured) Error() string { return e.Problem }

// Try says what a person can do about it.
func (e *Misconfigured) Try() string { return e.Advice }

// placeError turns what is wrong with the place of a destination's files into a
// [*Misconfigured]: another place, or rights to this one, would do. What may go
// away by itself stays as it is.
func placeError(err error) error {
	var place *fs.PathError
	if !errors.As(err, &place) {
		return err
	}
	for _, wrong := range []error{fs.ErrPermission, syscall.ENOTDIR, syscall.EISDIR, syscall.EROFS, syscall.ENAMETOOLONG, syscall.ELOOP} {
		if errors.Is(err, wrong) {
			return &Misconfigured{
				Problem: err.Error(),
				Advice:  "set destination.file.path to a place that this user may write to",
			}
		}
	}
	return err
}

// diskError turns an error of a disk that is full or broken into an
// [*Unavailable]: once it is mended, the next run goes on.
func diskError(err error) error {
	if extract.DiskFails(err) {
		return &Unavailable{Problem: err.Error(), Advice: "make room on the disk, or mend it, then run again: it goes on where it stopped"}
	}
	return err
}
