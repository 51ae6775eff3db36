package examples

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the demo data anew")

// The files in this folder hold what the generator makes, whatever the version
// of the compression library that wrote them.
func TestDemoData(t *testing.T) {
	if *update {
		writeDemo(t)
	}
	want := slices.Collect(rows(DemoConversations, DemoSeed, nil))
	if diff := difference(want, readRows(t, readFile(t, "chats.parquet"))); diff != "" {
		t.Errorf("chats.parquet: run go generate ./jobs/examples: %s", diff)
	}
	if diff := cmp.Diff(directory(), readDirectory(t, readFile(t, "agents.parquet"))); diff != "" {
		t.Errorf("agents.parquet: run go generate ./jobs/examples (-want +got):\n%s", diff)
	}
	if size := len(readFile(t, "chats.parquet")); size > 900_000 {
		t.Errorf("chats.parquet has %d bytes, too many to ship", size)
	}
}

// difference tells the first row that differs.
func difference(want, got []record) string {
	for i := range min(len(want), len(got)) {
		if !reflect.DeepEqual(want[i], got[i]) {
			return fmt.Sprintf("row %d (-want +got):\n%s", i, cmp.Diff(want[i], got[i]))
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("%d rows, want %d", len(got), len(want))
	}
	return ""
}

func writeDemo(t *testing.T) {
	t.Helper()
	for name, data := range map[string][]byte{
		"chats.parquet":  written(t, DemoConversations, DemoSeed),
		"agents.parquet": writtenAgents(t),
	} {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWriteIsReadBack(t *testing.T) {
	for _, conversations := range []int{0, 1, 7, 300} {
		want := slices.Collect(rows(conversations, 3, nil))
		if diff := difference(want, readRows(t, written(t, conversations, 3))); diff != "" {
			t.Errorf("%d conversations: %s", conversations, diff)
		}
	}
}

func TestWriteIsDeterministic(t *testing.T) {
	first := written(t, 200, 9)
	if !bytes.Equal(first, written(t, 200, 9)) {
		t.Error("the same seed gave other bytes")
	}
	if bytes.Equal(first, written(t, 200, 10)) {
		t.Error("another seed gave the same bytes")
	}
}

func TestWriteProgress(t *testing.T) {
	var begun []int
	if err := Write(&bytes.Buffer{}, 5, 1, func(n int) { begun = append(begun, n) }); err != nil {
		t.Fatal(err)
	}
	if want := []int{1, 2, 3, 4, 5}; !slices.Equal(begun, want) {
		t.Errorf("progress got %v, want %v", begun, want)
	}
}

func TestWriteErrWriter(t *testing.T) {
	full := errors.New("disk full")
	if err := Write(failing{full}, 50, 1, nil); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
	if err := WriteAgents(failing{full}); !errors.Is(err, full) {
		t.Errorf("agents: got %v, want %v", err, full)
	}
}

func TestWriteErrNegative(t *testing.T) {
	if err := Write(&bytes.Buffer{}, -1, 1, nil); err == nil {
		t.Error("no error for -1 conversations")
	}
}

func BenchmarkWrite(b *testing.B) {
	for b.Loop() {
		if err := Write(io.Discard, 1000, 1, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "conversations/s")
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
