package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/chatbackfill/chatbackfill/transform"
)

var extensions = []string{".ndjson", ".ndjson.gz", ".ndjson.zst"}

// eachExtension runs a test for every kind of file.
func eachExtension(t *testing.T, test func(t *testing.T, path string)) {
	for _, extension := range extensions {
		t.Run(extension, func(t *testing.T) {
			test(t, filepath.Join(t.TempDir(), "events"+extension))
		})
	}
}

func openFile(t *testing.T, path string, state json.RawMessage) *File {
	t.Helper()
	d, err := OpenFile(path, Continuation{State: state})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func sendFile(t *testing.T, d *File, events []*transform.Event) json.RawMessage {
	t.Helper()
	delivery, err := d.Send(t.Context(), events)
	if err != nil {
		t.Fatal(err)
	}
	if !allDone(delivery.Outcomes) || len(delivery.Outcomes) != len(events) {
		t.Fatalf("not all of %d events are done", len(events))
	}
	return delivery.State
}

// wantLines checks what the file has, uncompressed.
func wantLines(t *testing.T, path string, want []*transform.Event) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var r io.Reader = file
	switch filepath.Ext(path) {
	case ".gz":
		r, err = gzip.NewReader(file)
	case ".zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(file); err == nil {
			defer z.Close()
			r = z
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	n := 0
	for ; lines.Scan(); n++ {
		if n >= len(want) || lines.Text() != string(want[n].JSON) {
			t.Fatalf("line %d: %s", n+1, lines.Text())
		}
	}
	if err := lines.Err(); err != nil || n != len(want) {
		t.Fatalf("%d lines and error %v, want %d", n, err, len(want))
	}
}

func TestFile_OK(t *testing.T) {
	eachExtension(t, func(t *testing.T, path string) {
		sent := events(300)
		d := openFile(t, path, nil)
		sendFile(t, d, sent[:100])
		sendFile(t, d, nil)
		state := sendFile(t, d, sent[100:200])
		d.Close()

		again := openFile(t, path, state)
		if string(again.State()) != string(state) {
			t.Errorf("state %s after opening, want %s", again.State(), state)
		}
		sendFile(t, again, sent[200:])
		wantLines(t, path, sent)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
		}
	})
}

// What was written after the checkpoint is cut off and written again.
func TestFile_OK_CutsTail(t *testing.T) {
	eachExtension(t, func(t *testing.T, path string) {
		sent := events(300)
		d := openFile(t, path, nil)
		state := sendFile(t, d, sent[:100])
		sendFile(t, d, sent[100:200])
		d.Close()
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.WriteString("half a li")
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
		again := openFile(t, path, state)
		wantLines(t, path, sent[:100])
		sendFile(t, again, sent[200:])
		wantLines(t, path, append(events(100), sent[200:]...))
	})
}

// A run killed in its first chunk is known by the state it began with.
func TestFile_OK_KilledInFirstChunk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	d := openFile(t, path, nil)
	state := d.State()
	sendFile(t, d, events(3))
	d.Close()
	sendFile(t, openFile(t, path, state), events(5))
	wantLines(t, path, events(5))
}

func TestFile_OK_GoneIsBegunAnew(t *testing.T) {
	eachExtension(t, func(t *testing.T, path string) {
		d := openFile(t, path, nil)
		state := sendFile(t, d, events(10))
		d.Close()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		again, err := OpenFile(path, Continuation{State: state, Logger: logTo(&log)})
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "begun anew") {
			t.Errorf("log has no warning:\n%s", &log)
		}
		sendFile(t, again, events(3))
		wantLines(t, path, events(3))
	})
}

func TestFile_OK_MakesFolders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "events.ndjson")
	sendFile(t, openFile(t, path, nil), events(1))
	wantLines(t, path, events(1))
	info, err := os.Stat(filepath.Dir(path))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder's mode %v, %v; want 0700", info.Mode(), err)
	}
}

func TestFile_OK_EmptyFileIsTaken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sendFile(t, openFile(t, path, nil), events(1))
	wantLines(t, path, events(1))
}

func TestFile_ErrShorter(t *testing.T) {
	eachExtension(t, func(t *testing.T, path string) {
		d := openFile(t, path, nil)
		state := sendFile(t, d, events(10))
		d.Close()
		length := d.state.Length
		if err := os.Truncate(path, length-1); err != nil {
			t.Fatal(err)
		}
		_, err := OpenFile(path, Continuation{State: state})
		var refused *Refused
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), fmt.Sprintf("%d bytes, of the %d", length-1, length)) || refused.Try() == "" {
			t.Errorf("error %v, want *Refused with both lengths", err)
		}
	})
}

// Nothing is cut off a file that is another one.
func TestFile_ErrAnotherFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	d := openFile(t, path, nil)
	state := sendFile(t, d, events(10))
	d.Close()
	other := bytes.Repeat([]byte("precious\n"), 10_000)
	if err := os.WriteFile(path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenFile(path, Continuation{State: state})
	var refused *Refused
	if !errors.As(err, &refused) {
		t.Errorf("error %v, want *Refused", err)
	}
	if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, other) {
		t.Errorf("the file was changed (%v)", err)
	}
}

func TestFile_ErrMisconfigured(t *testing.T) {
	folder := t.TempDir()
	occupied := filepath.Join(folder, "occupied.ndjson")
	if err := os.WriteFile(occupied, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "folder.ndjson"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		occupied:                      "1 bytes that this job did not write",
		folder + "/folder.ndjson":     "not a regular file",
		occupied + "/events.ndjson":   "not a directory",
		folder + "/events.json":       `"events.json"`,
		folder + "/events.ndjson.bz2": `"events.ndjson.bz2"`,
	} {
		_, err := OpenFile(path, Continuation{})
		var misconfigured *Misconfigured
		if !errors.As(err, &misconfigured) || !strings.Contains(err.Error(), want) || misconfigured.Try() == "" {
			t.Errorf("%s: error %v, want *Misconfigured with %q", path, err, want)
		}
	}
	_, err := OpenFile("x.csv", Continuation{})
	var misconfigured *Misconfigured
	if errors.As(err, &misconfigured) && !strings.Contains(misconfigured.Try(), ".ndjson, .ndjson.gz, .ndjson.zst") {
		t.Errorf("advice %q does not list what is known", misconfigured.Try())
	}
	if left, err := os.ReadFile(occupied); err != nil || string(left) != "x" {
		t.Errorf("the occupied file was changed: %q, %v", left, err)
	}
}

func TestFile_ErrStateOfAnotherVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	_, err := OpenFile(path, Continuation{State: json.RawMessage(`{"format":2,"length":3}`)})
	var refused *Refused
	if !errors.As(err, &refused) {
		t.Errorf("error %v, want *Refused", err)
	}
	if _, err := OpenFile(path, Continuation{State: json.RawMessage(`{"format":`)}); err == nil {
		t.Error("no error for a state that is no JSON")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file was created")
	}
}

// A state that a released version may have written stays readable.
func TestFile_OK_StateGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(path, []byte("{}\nmore"), 0o600); err != nil {
		t.Fatal(err)
	}
	golden := `{"format":1,"length":3,"tail":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"}`
	d := openFile(t, path, json.RawMessage(golden))
	if got := string(d.State()); got != golden {
		t.Errorf("state %s, want %s", got, golden)
	}
	if left, err := os.ReadFile(path); err != nil || string(left) != "{}\n" {
		t.Errorf("file %q, %v", left, err)
	}
}

func TestFile_Checks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	sent := events(3)
	sent[1].UserID = ""
	d := openFile(t, path, nil)
	delivery, err := d.Send(t.Context(), sent)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, delivery, "a1 r1 a1")
	wantLines(t, path, []*transform.Event{sent[0], sent[2]})
}

func TestFile_ErrContextEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	d := openFile(t, path, nil)
	cause := errors.New("second signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	delivery, err := d.Send(ctx, events(3))
	if err != cause {
		t.Errorf("error %v, want %v", err, cause)
	}
	wantOutcomes(t, delivery, "-3")
	wantLines(t, path, nil)
}

// After a failed write nobody knows what the disk has: no later one succeeds.
func TestFile_ErrWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	d := openFile(t, path, nil)
	state := sendFile(t, d, events(2))
	d.Close()
	for range 2 {
		delivery, err := d.Send(t.Context(), events(3))
		if !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), "write "+path) {
			t.Fatalf("error %v", err)
		}
		wantOutcomes(t, delivery, "-3")
		if string(delivery.State) != string(state) {
			t.Errorf("state %s, want %s", delivery.State, state)
		}
		wantNoCanary(t, err.Error())
	}
	wantLines(t, path, events(2))
}

// After a failed sync nobody knows what the disk has: no later one succeeds.
func TestFile_ErrSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	d := openFile(t, path, nil)
	sendFile(t, d, events(2))
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	d.Close()
	first := d.Sync()
	if !errors.Is(first, os.ErrClosed) || !strings.Contains(first.Error(), "write "+path) {
		t.Fatalf("error %v", first)
	}
	if again := d.Sync(); again != first {
		t.Errorf("error %v, want that of the first call", again)
	}
}

// TestFile_ErrHeld: as long as a process has the file open no other one writes
// it, and one whose state is not the last changes nothing.
func TestFile_ErrHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	first := openFile(t, path, nil)
	state := sendFile(t, first, events(3))
	var held *Unavailable
	if _, err := OpenFile(path, Continuation{State: state}); !errors.As(err, &held) || held.Try() == "" {
		t.Errorf("error %v, want *Unavailable", err)
	}
	first.Close()
	lost := errors.New("lease lost")
	if _, err := OpenFile(path, Continuation{Permit: func() error { return lost }}); !errors.Is(err, lost) {
		t.Errorf("error %v, want what Permit returned", err)
	}
	openFile(t, path, state)
	wantLines(t, path, events(3))
}

// TestDiskError: a disk that is full or broken is no reason to give up for good.
func TestDiskError(t *testing.T) {
	for cause, passes := range map[error]bool{syscall.ENOSPC: true, syscall.EFBIG: true, syscall.EIO: true, syscall.EBADF: false} {
		err := diskError(fmt.Errorf("write events: %w", &fs.PathError{Op: "write", Path: "events.ndjson", Err: cause}))
		if got := errors.As(err, new(*Unavailable)); got != passes {
			t.Errorf("%v: passes %t, want %t", err, got, passes)
		}
	}
}
