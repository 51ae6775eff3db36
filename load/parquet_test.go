package load

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/transform"
)

func openParts(t *testing.T, path string, state json.RawMessage) *Parquet {
	t.Helper()
	d, err := OpenParquet(path, Continuation{State: state})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func sendParts(t *testing.T, d *Parquet, events []*transform.Event) json.RawMessage {
	t.Helper()
	delivery, err := d.Send(t.Context(), events)
	if err != nil || !allDone(delivery.Outcomes) {
		t.Fatalf("send: %v", err)
	}
	return delivery.State
}

// readParts returns the rows of all parts, by column, as another library reads
// them.
func readParts(t *testing.T, folder string) []map[string]any {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	for _, path := range paths {
		rows = append(rows, readPart(t, path)...)
	}
	return rows
}

func readPart(t *testing.T, path string) []map[string]any {
	t.Helper()
	r, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	arrow, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := arrow.ReadTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	batches := array.NewTableReader(table, 0)
	defer batches.Release()
	var rows []map[string]any
	for batches.Next() {
		encoded, err := batches.RecordBatch().MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var some []map[string]any
		if err := json.Unmarshal(encoded, &some); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, some...)
	}
	return rows
}

// wantRows are the rows that the events are expected to become.
func wantRows(events []*transform.Event) []map[string]any {
	var rows []map[string]any
	for _, e := range events {
		orNull := func(s string) any {
			if s == "" {
				return nil
			}
			return s
		}
		rows = append(rows, map[string]any{
			"messageId": e.ID.String(), "event": e.Name.String(),
			"timestamp": e.Timestamp.Time().Format("2006-01-02T15:04:05.000Z"),
			"userId":    orNull(e.UserID), "anonymousId": orNull(e.AnonymousID),
			"conversation_id": e.ConversationID, "conversation_duration": float64(e.Duration), "message_id": e.MessageID,
			"agent_id": orNull(e.Agent.ID), "agent_name": orNull(e.Agent.Name), "agent_username": orNull(e.Agent.Username),
			"message_body": orNull(e.Body), "properties": `{"inbox":"sales"}`,
		})
	}
	return rows
}

func wantParts(t *testing.T, folder string, events []*transform.Event) {
	t.Helper()
	if diff := cmp.Diff(wantRows(events), readParts(t, folder)); diff != "" {
		t.Errorf("rows (-want +got)\n%s", diff)
	}
}

func TestParquet_OK(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "events.parquet")
	all := events(60)
	all[3].Body, all[4].Agent, all[5].UserID, all[5].AnonymousID = "", transform.Agent{}, "", "visitor 5"
	all[6].Body = "سلام 👋 \u2028 \"quoted\""
	for _, e := range all {
		encode(e)
	}
	d := openParts(t, folder, nil)
	sendParts(t, d, all[:20])
	state := sendParts(t, d, all[20:40])
	d.Close()
	sendParts(t, openParts(t, folder, state), all[40:])
	wantParts(t, folder, all)
}

// TestParquet_OK_CutsTail goes on from a checkpoint before the last parts, one of
// which was being written.
func TestParquet_OK_CutsTail(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "events.parquet")
	all := events(30)
	d := openParts(t, folder, nil)
	state := sendParts(t, d, all[:10])
	sendParts(t, d, all[10:20])
	d.Close()
	if err := os.WriteFile(filepath.Join(folder, temporaryPart), []byte("PAR1 half of"), 0o600); err != nil {
		t.Fatal(err)
	}
	sendParts(t, openParts(t, folder, state), all[10:])
	wantParts(t, folder, all)
	left, _ := os.ReadDir(folder)
	if names := strings.Join(fileNames(left), " "); names != "part-000000.parquet part-000001.parquet" {
		t.Errorf("the folder has %s", names)
	}
}

func fileNames(entries []os.DirEntry) []string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

func TestParquet_Err(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "events.parquet")
	d := openParts(t, folder, nil)
	sendParts(t, d, events(5))
	state := sendParts(t, d, events(5))
	d.Close()
	var misconfigured *Misconfigured
	if _, err := OpenParquet(folder, Continuation{}); !errors.As(err, &misconfigured) {
		t.Errorf("open a folder with parts of another job: %v", err)
	}
	if err := os.Remove(filepath.Join(folder, "part-000000.parquet")); err != nil {
		t.Fatal(err)
	}
	var refused *Refused
	if _, err := OpenParquet(folder, Continuation{State: state}); !errors.As(err, &refused) {
		t.Errorf("open a folder of which a part is gone: %v", err)
	}
	file := filepath.Join(t.TempDir(), "events.parquet")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenParquet(file, Continuation{}); !errors.As(err, &misconfigured) {
		t.Errorf("open a file: %v", err)
	}
}

// TestParquet_OK_GoneIsBegunAnew says what became of it and goes on.
func TestParquet_OK_GoneIsBegunAnew(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "events.parquet")
	all := events(20)
	state := sendParts(t, openParts(t, folder, nil), all[:10])
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	sendParts(t, openParts(t, folder, state), all[10:])
	wantParts(t, folder, all[10:])
}

// TestParquet_ErrHeld: as [TestFile_ErrHeld].
func TestParquet_ErrHeld(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "events.parquet")
	first := openParts(t, folder, nil)
	state := sendParts(t, first, events(3))
	var held *Unavailable
	if _, err := OpenParquet(folder, Continuation{State: state}); !errors.As(err, &held) {
		t.Errorf("error %v, want *Unavailable", err)
	}
	first.Close()
	lost := errors.New("lease lost")
	if _, err := OpenParquet(folder, Continuation{Permit: func() error { return lost }}); !errors.Is(err, lost) {
		t.Errorf("error %v, want what Permit returned", err)
	}
	openParts(t, folder, state)
	wantParts(t, folder, events(3))
}
