package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/xitongsys/parquet-go/parquet"
	"github.com/xitongsys/parquet-go/writer"

	"github.com/chatbackfill/chatbackfill/load/failpoint"
	"github.com/chatbackfill/chatbackfill/transform"
)

// ParquetExtension is how the name of a folder of Parquet files ends.
const ParquetExtension = ".parquet"

// Parquet delivers events into a folder of Parquet files, its parts: one row an
// event, the columns named as in the JSON that Segment would get.
//
// A part is written under a temporary name, and has its own once it is on the
// disk as a whole. What Send has returned is in parts. The State counts them, so
// that those a run wrote after its last checkpoint are removed when it goes on.
type Parquet struct {
	folder string
	held   *os.File // the folder, locked
	state  parquetState
}

// parquetState is what a checkpoint keeps of the destination's folder.
type parquetState struct {
	Format int   `json:"format"`
	Parts  int   `json:"parts"`
	Bytes  int64 `json:"bytes"` // that they have together
}

const (
	parquetStateFormat = 1
	maxPartEvents      = 100_000
	partRowGroup       = 32 << 20
	temporaryPart      = ".part.tmp"
)

var partName = regexp.MustCompile(`^part-(\d{6,})\.parquet$`)

// eventRow is an event in a part. Times are UTC. Absent values are null.
type eventRow struct {
	MessageID      string  `parquet:"name=messageId, type=BYTE_ARRAY, convertedtype=UTF8"`
	Event          string  `parquet:"name=event, type=BYTE_ARRAY, convertedtype=UTF8, encoding=PLAIN_DICTIONARY"`
	Timestamp      int64   `parquet:"name=timestamp, type=INT64, logicaltype=TIMESTAMP, logicaltype.isadjustedtoutc=true, logicaltype.unit=MILLIS"`
	UserID         *string `parquet:"name=userId, type=BYTE_ARRAY, convertedtype=UTF8"`
	AnonymousID    *string `parquet:"name=anonymousId, type=BYTE_ARRAY, convertedtype=UTF8"`
	ConversationID string  `parquet:"name=conversation_id, type=BYTE_ARRAY, convertedtype=UTF8"`
	Duration       int64   `parquet:"name=conversation_duration, type=INT64"`
	Message        string  `parquet:"name=message_id, type=BYTE_ARRAY, convertedtype=UTF8"`
	AgentID        *string `parquet:"name=agent_id, type=BYTE_ARRAY, convertedtype=UTF8"`
	AgentName      *string `parquet:"name=agent_name, type=BYTE_ARRAY, convertedtype=UTF8"`
	AgentUsername  *string `parquet:"name=agent_username, type=BYTE_ARRAY, convertedtype=UTF8"`
	Body           *string `parquet:"name=message_body, type=BYTE_ARRAY, convertedtype=UTF8"`
	Properties     *string `parquet:"name=properties, type=BYTE_ARRAY, convertedtype=UTF8"` // JSON: those beyond the columns
}

func rowOf(e *transform.Event) eventRow {
	r := eventRow{
		MessageID: e.ID.String(), Event: e.Name.String(), Timestamp: e.Timestamp.Time().UnixMilli(),
		UserID: present(e.UserID), AnonymousID: present(e.AnonymousID),
		ConversationID: e.ConversationID, Duration: e.Duration, Message: e.MessageID,
		AgentID: present(e.Agent.ID), AgentName: present(e.Agent.Name), AgentUsername: present(e.Agent.Username),
		Body: present(e.Body),
	}
	if len(e.Properties) > 0 {
		pairs := make([]string, len(e.Properties))
		for i, p := range e.Properties {
			pairs[i] = fmt.Sprintf("%q:%s", p.Key, p.Value)
		}
		r.Properties = present("{" + strings.Join(pairs, ",") + "}")
	}
	return r
}

func present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// OpenParquet opens the folder of a job that goes on, or creates it; the folders
// above it too. Only the owner can read what it creates.
//
// Without a state there must be no parts in it, and with one those that were
// written before. An error is as of [OpenFile].
func OpenParquet(path string, c Continuation) (*Parquet, error) {
	d := &Parquet{folder: path, state: parquetState{Format: parquetStateFormat}}
	if c.State != nil {
		if err := d.parse(c.State); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(path)
	gone := errors.Is(err, fs.ErrNotExist)
	switch {
	case gone:
		if err := makeFolder(path); err != nil {
			return nil, placeError(err)
		}
	case err != nil:
		return nil, placeError(err)
	case !info.IsDir():
		return nil, &Misconfigured{
			Problem: fmt.Sprintf("open %s: it is not a folder", path),
			Advice:  "let destination.file.path name a folder: events are written into Parquet files in it",
		}
	}
	if gone && d.state.Parts > 0 {
		if c.Logger != nil {
			c.Logger.Warn("the destination's folder is gone and is begun anew; what it had is not written again", "path", path, "parts", d.state.Parts)
		}
		d.state = parquetState{Format: parquetStateFormat}
	}
	return d, d.open(c)
}

// open makes the folder what the state says it was, with no other process at
// work on it.
func (d *Parquet) open(c Continuation) (err error) {
	if d.held, err = os.Open(d.folder); err != nil {
		return err
	}
	if err = c.hold(d.held); err == nil {
		err = d.resume(c.State != nil)
	}
	if err != nil {
		d.Close()
	}
	return err
}

func (d *Parquet) parse(state json.RawMessage) error {
	if err := json.Unmarshal(state, &d.state); err != nil {
		return fmt.Errorf("read the recorded state of %s: %w", d.folder, err)
	}
	if d.state.Format != parquetStateFormat {
		return &Refused{
			Problem: fmt.Sprintf("read the recorded state of %s: format %d is unknown to this version", d.folder, d.state.Format),
			Advice:  "use the version of chatbackfill that wrote it, or a newer one",
		}
	}
	return nil
}

// resume makes the folder what the state says it was.
func (d *Parquet) resume(known bool) error {
	entries, err := os.ReadDir(d.folder)
	if err != nil {
		return err
	}
	found := parquetState{Format: parquetStateFormat}
	var surplus []string
	for _, entry := range entries {
		switch number, ok := partNumber(entry.Name()); {
		case entry.Name() == temporaryPart, ok && number >= d.state.Parts:
			surplus = append(surplus, entry.Name())
		case ok:
			info, err := entry.Info()
			if err != nil {
				return err
			}
			found.Parts, found.Bytes = found.Parts+1, found.Bytes+info.Size()
		}
	}
	if !known && len(surplus) > 0 {
		return &Misconfigured{
			Problem: fmt.Sprintf("open %s: the folder has parts that this job did not write", d.folder),
			Advice:  "move them away, or set destination.file.path to another folder",
		}
	}
	if found != d.state {
		return &Refused{
			Problem: fmt.Sprintf("open %s: it has %d of the %d parts that were written, with %d of %d bytes",
				d.folder, found.Parts, d.state.Parts, found.Bytes, d.state.Bytes),
			Advice: "put the whole folder back; or move it away, and the next run begins a new one with the events that are still to come",
		}
	}
	for _, name := range surplus {
		if err := os.Remove(filepath.Join(d.folder, name)); err != nil {
			return fmt.Errorf("remove what was written after the checkpoint: %w", err)
		}
	}
	return nil
}

func partNumber(name string) (int, bool) {
	match := partName.FindStringSubmatch(name)
	if match == nil {
		return 0, false
	}
	n := 0
	_, err := fmt.Sscanf(match[1], "%d", &n)
	return n, err == nil
}

// State is what the next run needs to go on with the folder as it is; see
// [File.State].
func (d *Parquet) State() json.RawMessage {
	encoded, err := json.Marshal(d.state)
	if err != nil {
		panic(err) // a struct of numbers
	}
	return encoded
}

// Close lets others write the folder. It has nothing to write: there is no part
// that is open between calls of Send.
func (d *Parquet) Close() { _ = d.held.Close() }

// Send writes the events into further parts and returns when they are on the
// disk. Calls come one at a time. If there is an error none of the events is
// done.
func (d *Parquet) Send(ctx context.Context, events []*transform.Event) (Delivery, error) {
	before := d.state
	delivery := Delivery{Outcomes: make([]Outcome, len(events))}
	good := checked(events, delivery.Outcomes, nil)
	for rest := good; len(rest) > 0; {
		n := min(len(rest), maxPartEvents)
		err := context.Cause(ctx)
		if err == nil {
			err = d.writePart(rest[:n])
		}
		if err != nil {
			d.state = before
			return Delivery{Outcomes: make([]Outcome, len(events)), State: d.State()}, err
		}
		rest = rest[n:]
	}
	good.accept()
	delivery.State = d.State()
	return delivery, nil
}

// writePart writes the events as the next part.
func (d *Parquet) writePart(b batch) error {
	temporary := filepath.Join(d.folder, temporaryPart)
	part := filepath.Join(d.folder, fmt.Sprintf("part-%06d%s", d.state.Parts, ParquetExtension))
	size, err := writeRows(temporary, b)
	if err == nil {
		failpoint.At("part-written")
		err = os.Rename(temporary, part)
	}
	if err == nil {
		failpoint.At("part-named")
		err = syncFolder(d.folder)
	}
	if err != nil {
		return diskError(fmt.Errorf("write %s: %w", part, err))
	}
	d.state.Parts++
	d.state.Bytes += size
	return nil
}

// writeRows writes a Parquet file, and returns its size once it is on the disk.
func writeRows(path string, b batch) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// The buffer also remembers an error of the file, whatever the library makes
	// of it.
	buffered := bufio.NewWriterSize(f, 1<<20)
	w, err := writer.NewParquetWriterFromWriter(buffered, new(eventRow), 1)
	if err != nil {
		return 0, err
	}
	w.RowGroupSize = partRowGroup
	w.CompressionType = parquet.CompressionCodec_ZSTD
	for _, it := range b {
		if err := w.Write(rowOf(it.event)); err != nil {
			return 0, err
		}
	}
	failpoint.At("part-open")
	if err := w.WriteStop(); err != nil {
		return 0, err
	}
	if err := buffered.Flush(); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
