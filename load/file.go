package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/chatbackfill/chatbackfill/load/failpoint"
	"github.com/chatbackfill/chatbackfill/transform"
)

// File delivers events into a file: one event a line, the JSON that Segment
// would get. A name that ends in .gz or .zst is compressed, each call of Send
// being a member or frame of its own.
//
// What was sent before a call of Sync is on the disk once that has returned. State
// has the file's length, so that what a run wrote after its last checkpoint is cut
// off when it goes on.
type File struct {
	path   string
	file   *os.File
	buffer *bufio.Writer // used by every call of Send
	batch  batch         // likewise
	pieces [][]byte      // likewise
	open   encoder
	state  fileState
	broken error // why the file is in a state that nobody knows
	lost   error // why nobody knows what of it is on the disk
}

// OpenFile opens the file of a job that goes on, or creates it; the folders above
// it too. Only the owner can read what it creates.
//
// Without a state the file must be new or empty, and with one it must begin with
// what was written before. A file that is gone is begun anew, which the logger
// is told. An error is a [*Misconfigured] for a path that cannot be used, a
// [*Refused] for a file that is not the one that was written, and an
// [*Unavailable] for one that another process is writing.
func OpenFile(path string, c Continuation) (*File, error) {
	open, err := encoderFor(path)
	if err != nil {
		return nil, err
	}
	recorded, err := parseFileState(path, c.State)
	if err != nil {
		return nil, err
	}
	file, created, err := openOrCreate(path)
	if err != nil {
		return nil, placeError(err)
	}
	d := &File{path: path, file: file, buffer: bufio.NewWriterSize(nil, 256<<10), open: open, state: recorded}
	if err = c.hold(file); err == nil {
		err = d.resume(created, c.State != nil, c.Logger)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return d, nil
}

// State is what the next run needs to go on with the file as it is. A caller
// keeps it before the first call of Send too: else a run that is killed in that
// call leaves a file behind that the next one does not know as its own.
func (d *File) State() json.RawMessage { return d.state.encode() }

// Close closes the file. It has nothing to write.
func (d *File) Close() { _ = d.file.Close() }

// Send appends the events to the file. They are not accepted before Sync has
// returned. Calls come one at a time. If there is an error none of the events is
// done.
func (d *File) Send(ctx context.Context, events []*transform.Event) (Delivery, error) {
	delivery := Delivery{Outcomes: make([]Outcome, len(events)), State: d.State()}
	good := checked(events, delivery.Outcomes, d.batch)
	d.batch = good
	if len(good) == 0 {
		return delivery, nil
	}
	if err := d.write(ctx, good); err != nil {
		return Delivery{Outcomes: make([]Outcome, len(events)), State: d.State()}, err
	}
	good.accept()
	delivery.State = d.State()
	return delivery, nil
}

// Sync returns once everything that was sent before the call is on the disk.
// Further events may be sent meanwhile. If there is an error, nobody knows what
// of the events since the last call is there, and no later call succeeds.
func (d *File) Sync() error {
	if d.lost != nil {
		return d.lost
	}
	if err := d.file.Sync(); err != nil {
		d.lost = diskError(fmt.Errorf("write %s: %w", d.path, err))
		return d.lost
	}
	failpoint.At("file-synced")
	return nil
}

// write appends b. What it leaves behind when it fails is cut off, here or when
// the file is opened again.
func (d *File) write(ctx context.Context, b batch) error {
	if d.broken != nil {
		return d.broken
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	next, err := d.append(b)
	if err != nil {
		d.broken = diskError(fmt.Errorf("write %s: %w", d.path, err))
		return errors.Join(d.broken, d.file.Truncate(d.state.Length))
	}
	d.state = next
	return nil
}

func (d *File) append(b batch) (fileState, error) {
	w := io.NewOffsetWriter(d.file, d.state.Length)
	if err := d.encode(w, b); err != nil {
		return fileState{}, err
	}
	failpoint.At("file-written")
	written, err := w.Seek(0, io.SeekCurrent)
	if err != nil {
		return fileState{}, err
	}
	length := d.state.Length + written
	writeOut(d.file, d.state.Length, length)
	return stateAt(d.file, length)
}

func (d *File) encode(w io.Writer, b batch) error {
	d.buffer.Reset(w)
	encoded, err := d.open(d.buffer)
	if err != nil {
		return err
	}
	d.pieces = d.pieces[:0]
	for _, it := range b {
		d.pieces = it.event.AppendLine(d.pieces)
	}
	for _, p := range d.pieces {
		if _, err := encoded.Write(p); err != nil {
			return err
		}
	}
	if err := encoded.Close(); err != nil {
		return err
	}
	return d.buffer.Flush()
}

// resume makes the file what the state says it was.
func (d *File) resume(created, known bool, logger *slog.Logger) error {
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	switch {
	case !known && size > 0:
		return &Misconfigured{
			Problem: fmt.Sprintf("open %s: the file has %d bytes that this job did not write", d.path, size),
			Advice:  "move the file away, or set destination.file.path to another one",
		}
	case created && d.state.Length > 0:
		if logger != nil {
			logger.Warn("the destination's file is gone and is begun anew; what it had is not written again",
				"path", d.path, "bytes", d.state.Length)
		}
		d.state = newFileState()
		return nil
	case size < d.state.Length:
		return &Refused{
			Problem: fmt.Sprintf("open %s: the file has %d bytes, of the %d that were written to it", d.path, size, d.state.Length),
			Advice:  "put the whole file back; or move it away, and the next run begins a new one with the events that are still to come",
		}
	}
	if err := d.recognize(); err != nil {
		return err
	}
	return d.cutTo(d.state.Length, size)
}

// recognize makes sure that the file is the one that was written, before
// anything of it is cut off.
func (d *File) recognize() error {
	found, err := stateAt(d.file, d.state.Length)
	if err != nil {
		return fmt.Errorf("read %s: %w", d.path, err)
	}
	if found.Tail != d.state.Tail {
		return &Refused{
			Problem: fmt.Sprintf("open %s: the file is not the one that was written: its first %d bytes end otherwise", d.path, d.state.Length),
			Advice:  "put the file back as it was; or move it away, and the next run begins a new one with the events that are still to come",
		}
	}
	return nil
}

func (d *File) cutTo(length, size int64) error {
	if size == length {
		return nil
	}
	failpoint.At("file-cut")
	if err := d.file.Truncate(length); err != nil {
		return fmt.Errorf("cut off what was written to %s after the checkpoint: %w", d.path, err)
	}
	if err := d.file.Sync(); err != nil {
		return fmt.Errorf("cut off what was written to %s after the checkpoint: %w", d.path, err)
	}
	return nil
}

// openOrCreate opens a file for reading and writing, and says whether it is new.
func openOrCreate(path string) (file *os.File, created bool, err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, false, &Misconfigured{
			Problem: fmt.Sprintf("open %s: it is not a regular file", path),
			Advice:  "set destination.file.path to a file",
		}
	}
	file, err = os.OpenFile(path, os.O_RDWR, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, false, err
	}
	if err := makeFolder(folderOf(path)); err != nil {
		return nil, false, err
	}
	file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, false, err
	}
	failpoint.At("file-created")
	if err := syncFolder(folderOf(path)); err != nil {
		return nil, false, errors.Join(err, file.Close())
	}
	return file, true, nil
}
