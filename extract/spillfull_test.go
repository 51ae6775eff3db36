//go:build unix

package extract

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// limitVariable says to the test that it runs in a process of its own, whose
// files it may limit: go test too writes files beside its tests.
const limitVariable = "CHATBACKFILL_TEST_FILE_LIMIT"

// limitFiles makes files that this process writes end at a size, until it is
// given none.
func limitFiles(t *testing.T, size uint64) (restore func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSpillErrFull: where temporary files find no room the run ends with an error
// that says where and what to try, and leaves none; with room it reads everything.
func TestSpillErrFull(t *testing.T) {
	if os.Getenv(limitVariable) == "" {
		alone := exec.Command(os.Args[0], "-test.run=^TestSpillErrFull$", "-test.v")
		alone.Env = append(os.Environ(), limitVariable+"=1")
		output, err := alone.CombinedOutput()
		if err != nil || !strings.Contains(string(output), "--- PASS: TestSpillErrFull") {
			t.Errorf("%v\n%s", err, output)
		}
		return
	}
	dir, tmp := t.TempDir(), t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	var rows []genRow
	for i := range 400 {
		id := fmt.Sprint("c", i)
		body := make([]byte, 1500)
		for j := range body {
			body[j] = byte(' ' + random.IntN(90)) // which does not get smaller
		}
		rows = append(rows, genRow{&id, fmt.Sprint(i), "2024-03-01", "customer", "message", "u", string(body)})
	}
	data, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	writeParquet(t, filepath.Join(dir, "m.parquet"), plainFields, string(data), 100)
	cfg := testConfig(dir, "m.parquet")
	cfg.Memory, cfg.Tmp = 256<<10, tmp

	restore := limitFiles(t, 64<<10)
	_, err = tryTranscripts(mustOpen(t, cfg), "")
	restore()
	var spill *SpillError
	if !errors.As(err, &spill) || !DiskFails(err) || spill.Dir != tmp || spill.Size <= 64<<10 {
		t.Errorf("got error %v", err)
	} else if !strings.Contains(err.Error(), tmp) || !strings.Contains(spill.Try, "source.parquet.tmp") {
		t.Errorf("got %v; try %s", err, spill.Try)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	all, err := tryTranscripts(mustOpen(t, cfg), "")
	if err != nil || len(all) != len(rows) {
		t.Errorf("got %d of %d transcripts, %v", len(all), len(rows), err)
	}
}
