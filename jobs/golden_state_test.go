//go:build unix

package jobs

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
	"github.com/chatbackfill/chatbackfill/jobs/examples"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

var updateState = flag.Bool("update-state", false, "write the golden stores of this version's schema into testdata/state")

// goldenJob is the job of the golden stores, into a Segment of its own.
type goldenJob struct {
	*testing.T
	server *segmenttest.Server
	dir    string
}

func newGoldenJob(t *testing.T) *goldenJob {
	t.Helper()
	g := &goldenJob{t, segmenttest.New(t), t.TempDir()}
	for _, name := range []string{"job.yaml", "chats.parquet"} {
		data, err := os.ReadFile(filepath.Join("testdata/state", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(g.dir, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// Later than every row, and always the same.
	at := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(g.dir, "chats.parquet"), at, at); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *goldenJob) run(state string, options ...func(*Execution)) {
	g.Helper()
	env := func(name string) (string, bool) {
		value, ok := map[string]string{"SEGMENT_URL": g.server.URL, "STATE": state}[name]
		return value, ok
	}
	spec, err := LoadSpec(filepath.Join(g.dir, "job.yaml"), env)
	if err != nil {
		g.Fatal(err)
	}
	e := Execution{Spec: spec, Log: quiet}
	for _, option := range options {
		option(&e)
	}
	if _, err := Execute(g.Context(), e); err != nil {
		g.Fatal(err)
	}
}

// goldenStores are the stores of a folder of testdata/state, as they are opened.
func (g *goldenJob) stores(folder string) map[string]string {
	g.Helper()
	packed, err := os.ReadFile(filepath.Join(folder, "state.db.zst"))
	if err != nil {
		g.Fatal(err)
	}
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		g.Fatal(err)
	}
	defer decoder.Close()
	store, err := decoder.DecodeAll(packed, nil)
	if err != nil {
		g.Fatal(err)
	}
	path := filepath.Join(g.dir, "golden.db")
	if err := os.WriteFile(path, store, 0o600); err != nil {
		g.Fatal(err)
	}
	dump, err := os.ReadFile(filepath.Join(folder, "state.sql"))
	if err != nil {
		g.Fatal(err)
	}
	dsn := postgrestest.New(g.T)
	if _, err := connectBeside(g.T, dsn).PgConn().Exec(g.Context(), string(dump)).ReadAll(); err != nil {
		g.Fatal(err)
	}
	return map[string]string{"sqlite": "sqlite:" + path, "postgres": dsn}
}

func goldenIDs(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/state", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(data))
}

// TestGoldenState: whatever version wrote the store, a run on it sends what was
// left, under the ids that it always had, and nothing of what was sent.
func TestGoldenState(t *testing.T) {
	if *updateState {
		writeGoldenState(t)
	}
	folders, err := filepath.Glob("testdata/state/schema*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("there are no golden stores: %v", err)
	}
	sent, left := goldenIDs(t, "sent.ids"), goldenIDs(t, "left.ids")
	if len(sent) < 100 || len(left) < 100 {
		t.Fatalf("%d events were sent, %d were left", len(sent), len(left))
	}
	for _, folder := range folders {
		g := newGoldenJob(t)
		for name, state := range g.stores(folder) {
			t.Run(filepath.Base(folder)+" "+name, func(t *testing.T) {
				g := &goldenJob{t, segmenttest.New(t), g.dir}
				ref, _ := ParseState(state, g.dir)
				g.checkGolden(ref, 1)
				g.run(state)
				if diff := cmp.Diff(left, g.server.IDs()); diff != "" {
					t.Errorf("ids (-want +got)\n%s", diff)
				}
				g.checkGolden(ref, 2)
				g.run(state, func(e *Execution) { e.Full = true })
				if n := g.server.Events(); n != len(left) {
					t.Errorf("%d events were sent, want %d", n, len(left))
				}
			})
		}
	}
}

// TestGoldenStateImported: an export that an older version has written is as good
// as its store.
func TestGoldenStateImported(t *testing.T) {
	g := newGoldenJob(t)
	left := goldenIDs(t, "left.ids")
	for name, state := range g.stores("testdata/state/schema2") {
		t.Run(name, func(t *testing.T) {
			g := &goldenJob{t, segmenttest.New(t), g.dir}
			ref, _ := ParseState(state, g.dir)
			older, err := ref.connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer older.Close()
			file := filepath.Join(t.TempDir(), "state.ndjson")
			f, err := os.Create(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = older.export(t.Context(), f, false, "older")
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			fresh := "sqlite:" + filepath.Join(t.TempDir(), "fresh.db")
			to, _ := ParseState(fresh, "")
			if _, err := ImportState(t.Context(), file, to); err != nil {
				t.Fatal(err)
			}
			g.run(fresh)
			if diff := cmp.Diff(left, g.server.IDs()); diff != "" {
				t.Errorf("ids (-want +got)\n%s", diff)
			}
		})
	}
}

// checkGolden checks what a store holds beside the ledger, of so many runs.
func (g *goldenJob) checkGolden(ref StateRef, runs int) {
	g.Helper()
	s, err := ref.Open(g.Context())
	if err != nil {
		g.Fatal(err)
	}
	defer s.Close()
	j, err := s.FindJob(g.Context(), "chats", "golden")
	if err != nil {
		g.Fatal(err)
	}
	at, err := j.Checkpoint(g.Context(), "")
	if err != nil || at.Pass == 0 || at.Done != (runs > 1) {
		g.Errorf("checkpoint %+v, %v", at, err)
	}
	settings, err := j.Settings(g.Context())
	if err != nil || len(settings) == 0 {
		g.Errorf("settings %v, %v", settings, err)
	}
	records, err := j.Runs(g.Context(), 10)
	if err != nil || len(records) != runs {
		g.Errorf("%d runs, want %d: %v", len(records), runs, err)
	}
	r, err := j.Remembered(g.Context())
	if err != nil || r.Due == 0 || r.Rejects == 0 {
		g.Errorf("remembers %+v, %v", r, err)
	}
}

// writeGoldenState makes the stores half way through the job. Source and ids are
// written once: they must stay what they are.
func writeGoldenState(t *testing.T) {
	source := "testdata/state/chats.parquet"
	if _, err := os.Stat(source); errors.Is(err, os.ErrNotExist) {
		f, err := os.Create(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(examples.Write(f, 60, 11, nil), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	half := func(e *Execution) { e.Limit = 30 }
	dsn := postgrestest.New(t)
	newGoldenJob(t).run(dsn, half)
	g := newGoldenJob(t)
	path := filepath.Join(g.dir, "state.db")
	g.run("sqlite:"+path, half)
	store, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sent := g.server.IDs()
	writeIDs(t, "sent.ids", sent)
	g.run("sqlite:" + path)
	writeIDs(t, "left.ids", slices.DeleteFunc(g.server.IDs(), func(id string) bool { return slices.Contains(sent, id) }))

	schema, err := StateRef{SQLite: path}.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	folder := fmt.Sprintf("testdata/state/schema%d", schema.Version)
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(os.MkdirAll(folder, 0o755),
		os.WriteFile(filepath.Join(folder, "state.db.zst"), encoder.EncodeAll(store, nil), 0o644),
		os.WriteFile(filepath.Join(folder, "state.sql"), dumpPostgres(t, dsn), 0o644))
	if err != nil {
		t.Fatal(err)
	}
}

func writeIDs(t *testing.T, name string, ids []string) {
	t.Helper()
	path := filepath.Join("testdata/state", name)
	if _, err := os.Stat(path); err == nil {
		return
	}
	if err := os.WriteFile(path, []byte(strings.Join(ids, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// dumpPostgres returns the statements that make the store, without those that
// only some versions of Postgres know.
func dumpPostgres(t *testing.T, dsn string) []byte {
	t.Helper()
	out, err := exec.Command("pg_dump", "--schema=chatbackfill", "--inserts", "--no-owner", "--no-privileges", dsn).Output()
	if err != nil {
		t.Fatal(err)
	}
	out = regexp.MustCompile(`(?m)^(\\|SET |SELECT pg_catalog.set_config|--).*\n`).ReplaceAll(out, nil)
	return append(bytes.TrimSpace(regexp.MustCompile(`\n{2,}`).ReplaceAll(out, []byte("\n"))), '\n')
}
