package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xitongsys/parquet-go/writer"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// days is a job over an export that has a file for each day.
type days struct {
	*testing.T
	dir  string
	more string // further lines of source.parquet
	log  bytes.Buffer
}

const daysJob = `
name: days
source:
  parquet:
    # MORE
    messages: {files: ["day*.parquet"], fields: {user_id: author_id}}
conversation: {agent: none}
destination: {file: {path: events.ndjson}}
`

func newDays(t *testing.T) *days { return &days{T: t, dir: t.TempDir()} }

func (d *days) path(day int) string { return filepath.Join(d.dir, fmt.Sprintf("day%02d.parquet", day)) }

// write writes the file of a day: messages, each "conversation hour".
func (d *days) write(day int, messages ...string) {
	d.Helper()
	begin := noon.AddDate(0, 0, day)
	var rows []any
	for i, m := range messages {
		var conversation string
		var hour int
		if _, err := fmt.Sscan(m, &conversation, &hour); err != nil {
			d.Fatal(err)
		}
		sent := begin.Add(time.Duration(hour) * time.Hour).UnixMilli()
		rows = append(rows, arrivedRow{conversation, fmt.Sprintf("%d-%d", day, i), sent, "customer", "message", "anna", nil})
	}
	d.writeRows(d.path(day), new(arrivedRow), begin.AddDate(0, 0, 1), rows...)
}

// endedRow is a row of the conversations.
type endedRow struct {
	Conversation string `parquet:"name=conversation_id, type=BYTE_ARRAY, convertedtype=UTF8"`
	EndedAt      *int64 `parquet:"name=ended_at, type=INT64, convertedtype=TIMESTAMP_MILLIS"`
}

// writeRows writes a file that was changed at a time.
func (d *days) writeRows(path string, schema any, changed time.Time, rows ...any) {
	d.Helper()
	f, err := os.Create(path)
	d.must(err)
	w, err := writer.NewParquetWriterFromWriter(f, schema, 1)
	d.must(err)
	for _, row := range rows {
		d.must(w.Write(row))
	}
	d.must(errors.Join(w.WriteStop(), f.Close(), os.Chtimes(path, changed, changed)))
}

func (d *days) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *days) execution() Execution {
	d.Helper()
	file := strings.Replace(daysJob, "# MORE", d.more, 1)
	spec, err := ParseSpec(filepath.Join(d.dir, "job.yaml"), []byte(file), os.LookupEnv)
	if err != nil {
		d.Fatal(err)
	}
	return Execution{Spec: spec, Log: slog.New(slog.NewTextHandler(&d.log, nil))}
}

func (d *days) run(change func(*Execution)) Summary {
	d.Helper()
	e := d.execution()
	if change != nil {
		change(&e)
	}
	summary, err := Execute(d.Context(), e)
	if err != nil {
		d.Fatal(err)
	}
	return summary
}

// looks runs the job and checks at how many conversations it looks.
func (d *days) looks(conversations int, change func(*Execution)) {
	d.Helper()
	if s := d.run(change); s.Tally.Conversations != conversations {
		d.Errorf("the run looked at %d conversations, want %d", s.Tally.Conversations, conversations)
	}
}

func (d *days) sent() []string {
	d.Helper()
	data, err := os.ReadFile(filepath.Join(d.dir, "events.ndjson"))
	if err != nil {
		d.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	slices.Sort(lines)
	return lines
}

func TestLooksAtWhatIsNew(t *testing.T) {
	d := newDays(t)
	d.write(1, "a 1", "b 1", "c 1")
	d.write(2, "a 1", "d 1")
	d.looks(4, nil)
	d.write(3, "b 1", "e 1")
	d.looks(2, nil)
	d.looks(0, nil)
	d.write(1, "a 1", "b 1")
	d.looks(2, nil)
	d.looks(5-1, func(e *Execution) { e.Full = true }) // c stood in the file of day 1 only
	d.looks(0, nil)
	d.looks(1, func(e *Execution) { e.Select = &Selection{Conversations: map[string]bool{"a": true}} })
	d.looks(2, func(e *Execution) { e.Select = &Selection{From: extract.TimeOf(noon.AddDate(0, 0, 3))} })
	if n := len(d.sent()); n != 7+5 {
		t.Errorf("%d events", n)
	}
}

// TestGrowingExport: runs that are stopped at any place while files arrive and
// change deliver what one run over all of them does.
func TestGrowingExport(t *testing.T) {
	files := [][]string{}
	for day := range 6 {
		var messages []string
		for c := range 30 {
			if (c+day)%3 == 0 || c%7 == day {
				messages = append(messages, fmt.Sprintf("c%d %d", c, c%24))
			}
		}
		files = append(files, messages)
	}
	whole, growing := newDays(t), newDays(t)
	for day, messages := range files {
		whole.write(day, messages...)
		growing.write(day, messages[:4]...) // it arrives in part at first
		growing.run(func(e *Execution) { e.Limit = 2 + day })
		growing.write(day, messages...)
		growing.run(func(e *Execution) { e.Limit = 1 })
	}
	whole.run(nil)
	for range 100 {
		if s := growing.run(func(e *Execution) { e.Limit = 5 }); s.Nothing {
			break
		}
	}
	if d := cmp.Diff(whole.sent(), growing.sent()); d != "" {
		t.Errorf("events (-at once +over runs)\n%s", d)
	}
}

// hide takes files away, and show puts them back as they were.
func (d *days) hide(paths ...string) {
	d.Helper()
	for _, path := range paths {
		d.must(os.Rename(path, path+".away"))
	}
}

func (d *days) show(paths ...string) {
	d.Helper()
	for _, path := range paths {
		d.must(os.Rename(path+".away", path))
	}
}

// export writes three files of ten conversations each, and the file that says
// when they ended.
func (d *days) export() *days {
	d.more = "conversations: {files: [\"ends*.parquet\"]}"
	var ends []any
	for day := 1; day <= 3; day++ {
		var messages []string
		for c := range 10 {
			messages = append(messages, fmt.Sprintf("c%d-%d %d", day, c, c))
			ended := noon.AddDate(0, 0, day).Add(20 * time.Hour).UnixMilli()
			ends = append(ends, endedRow{fmt.Sprintf("c%d-%d", day, c), &ended})
		}
		d.write(day, messages...)
	}
	d.writeRows(filepath.Join(d.dir, "ends-1.parquet"), new(endedRow), noon, ends...)
	d.writeRows(filepath.Join(d.dir, "ends.parquet"), new(endedRow), noon, endedRow{"c1-0", nil})
	return d
}

// TestFilesThatComeBack: what was delivered while a file was not there, or was
// another one, is made up for once it is back, and nothing is sent twice.
func TestFilesThatComeBack(t *testing.T) {
	once := newDays(t).export()
	once.run(nil)
	some := func(n int) func(*Execution) { return func(e *Execution) { e.Limit = n } }
	ends := func(d *days) string { return filepath.Join(d.dir, "ends-1.parquet") }
	for name, runs := range map[string]func(d *days){
		"while the pass went on": func(d *days) {
			d.run(some(7))
			d.hide(d.path(2))
			d.run(nil)
			d.show(d.path(2))
		},
		"while the pass went on for a while": func(d *days) {
			d.run(some(7))
			d.hide(d.path(2))
			d.run(some(3))
			d.show(d.path(2))
		},
		"when the pass began": func(d *days) {
			d.hide(d.path(2))
			d.run(some(7))
			d.show(d.path(2))
		},
		"when a later pass began": func(d *days) {
			d.hide(d.path(3))
			d.run(nil)
			d.show(d.path(3))
			d.hide(d.path(2))
			d.run(some(3))
			d.show(d.path(2))
		},
		"two of a later pass": func(d *days) {
			d.hide(d.path(1), d.path(2))
			d.run(nil)
			d.show(d.path(1), d.path(2))
			d.run(some(5))
			d.hide(d.path(1), d.path(2))
			d.run(some(1))
			d.show(d.path(1), d.path(2))
		},
		"another one for a while": func(d *days) {
			d.run(some(7))
			d.hide(d.path(2))
			d.write(2, "c2-0 0", "c2-1 1")
			d.must(os.Chtimes(d.path(2), noon, noon))
			d.run(some(3))
			d.must(os.Remove(d.path(2)))
			d.show(d.path(2))
		},
		"with another time": func(d *days) {
			d.run(some(7))
			d.hide(d.path(2))
			d.run(nil)
			d.show(d.path(2))
			d.must(os.Chtimes(d.path(2), noon, noon))
		},
		"the ends, while the pass went on for a while": func(d *days) {
			d.run(some(7))
			d.hide(ends(d))
			d.run(some(3))
			d.show(ends(d))
		},
		"the ends, another one for a while": func(d *days) {
			d.run(some(7))
			d.hide(ends(d))
			d.writeRows(ends(d), new(endedRow), noon.Add(time.Hour), endedRow{"c2-0", nil})
			d.run(some(3))
			d.must(os.Remove(ends(d)))
			d.show(ends(d))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDays(t).export()
			runs(d)
			d.run(nil)
			if !d.run(nil).Nothing {
				t.Error("a run after all that had something to read")
			}
			if diff := cmp.Diff(once.sent(), d.sent()); diff != "" {
				t.Errorf("events (-files that stay +files that come back)\n%s", diff)
			}
		})
	}
}

// TestVisitWithoutFile: rows that are not there now have not come right.
func TestVisitWithoutFile(t *testing.T) {
	testVisitWithoutFile(t, func(*Execution) {}, func(*Execution) {})
}

// TestVisitWithoutFileOfAShard visits a job of which one shard has run.
func TestVisitWithoutFileOfAShard(t *testing.T) {
	state := postgresRef(postgrestest.New(t))
	testVisitWithoutFile(t, func(e *Execution) {
		e.Spec.State, e.Spec.Destination.File.Path = state, shardPlace+".ndjson"
	}, func(e *Execution) {
		for e.Shard.Of = 2; !e.Shard.Has("a"); {
			e.Shard.Index++
		}
	})
}

func testVisitWithoutFile(t *testing.T, prepare, pass func(*Execution)) {
	t.Helper()
	d := newDays(t)
	d.write(1, "a 1")
	bad := arrivedRow{"a", "bad", noon.UnixMilli(), "alien", "message", "anna", nil}
	d.writeRows(d.path(2), new(arrivedRow), noon, bad)
	visit := func(e *Execution) { e.Select = &Selection{Conversations: map[string]bool{"a": true}} }
	retry := func(e *Execution) {
		visit(e)
		e.Select.Retry = map[int64]bool{1: true, 2: true}
	}
	rejects := func(change func(*Execution), want int) {
		t.Helper()
		s := d.run(func(e *Execution) {
			prepare(e)
			change(e)
		})
		if s.Rejects != want {
			t.Errorf("%d rejects, want %d", s.Rejects, want)
		}
	}
	rejects(pass, 2) // and the row that is held
	d.hide(d.path(2))
	rejects(visit, 2)
	rejects(retry, 2)
	d.show(d.path(2))
	rejects(pass, 2)
	d.write(2, "a 2")
	rejects(visit, 0)
}

// TestOtherFilesWithoutLedger: only the files that it began with can complete a
// pass of which nothing but the position is known.
func TestOtherFilesWithoutLedger(t *testing.T) {
	d := newDays(t).export()
	d.run(func(e *Execution) { e.Spec.Ledger, e.Limit = false, 7 })
	e := d.execution()
	e.Spec.Ledger = false
	for _, name := range []string{"day02.parquet", "ends-1.parquet"} {
		path := filepath.Join(d.dir, name)
		d.hide(path)
		if _, err := Execute(t.Context(), e); ExitCode(err) != ExitDiffers {
			t.Errorf("a run without %s: %v", name, err)
		}
		d.show(path)
	}
	d.write(4, "d 1")
	if _, err := Execute(t.Context(), e); ExitCode(err) != ExitDiffers {
		t.Errorf("a run with a further file: %v", err)
	}
	d.must(os.Remove(d.path(4)))
	d.run(func(e *Execution) { e.Spec.Ledger = false })
	once := newDays(t).export()
	once.run(nil)
	if diff := cmp.Diff(once.sent(), d.sent()); diff != "" {
		t.Errorf("events (-with a ledger +without)\n%s", diff)
	}
}

func TestTellsOfVanishedFiles(t *testing.T) {
	d := newDays(t)
	d.write(1, "a 1")
	d.write(2, "a 1", "b 1")
	d.run(nil)
	if err := os.Remove(d.path(1)); err != nil {
		t.Fatal(err)
	}
	d.looks(0, nil)
	d.looks(0, func(e *Execution) { e.Full = false })
	if n := strings.Count(d.log.String(), "file=day01.parquet"); n != 1 || strings.Contains(d.log.String(), "day02") {
		t.Errorf("told %d times of a file that is gone:\n%s", n, d.log.String())
	}
}

// TestRejectsWhatLastsTooLong: with lookback a conversation whose beginning was
// not read is rejected, and comes right when everything is read.
func TestRejectsWhatLastsTooLong(t *testing.T) {
	d := newDays(t)
	d.more = "lookback: 48h"
	d.write(1, "a 1", "b 1")
	d.write(9, "c 1")
	d.run(nil)
	d.write(20, "a 1", "c 1", "d 1")
	s := d.run(nil)
	if n := s.Tally.Rows["rejected:incomplete"]; n != 2 || s.Tally.Conversations != 3 {
		t.Errorf("%d conversations, outcomes %v", s.Tally.Conversations, s.Tally.Rows)
	}
	if n := len(d.sent()); n != 3*2+2 {
		t.Errorf("%d events", n)
	}
	if s := d.run(func(e *Execution) { e.Full = true }); s.Rejects != 0 {
		t.Errorf("%d rejects after everything was read", s.Rejects)
	}
	if n := len(d.sent()); n != 3*2+2+2 {
		t.Errorf("%d events after everything was read", n)
	}
}

func testManifest(t *testing.T, s *State) {
	j := testJob(t, s, "files")
	_, l := acquire(t, j)
	file := func(path string, version int) extract.File {
		return extract.File{Set: "messages", Path: path, Size: 7, Version: fmt.Sprint(version)}
	}
	manifestOf := func(pass int64) manifest {
		m, err := j.manifest(t.Context(), extract.Shard{}, pass)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	same := func(what string, got []extract.File, want ...extract.File) {
		t.Helper()
		byPath := func(a, b extract.File) int { return strings.Compare(a.Path, b.Path) }
		slices.SortFunc(got, byPath)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", what, d)
		}
	}
	same("files of a new job", manifestOf(1).known)

	first := manifest{begun: []extract.File{file("a", 1), file("b", 1)}, fresh: true}
	mustCommit(t, l, commit{files: first.atBegin(1)})
	m := manifestOf(1)
	same("files before the first pass", m.known)
	same("files of the first pass", m.begun, file("a", 1), file("b", 1))
	if m.atBegin(1) != nil {
		t.Error("a pass that goes on begins again")
	}
	read := []extract.File{file("a", 1), file("b", 2)}
	read[0].Oldest, read[0].Newest = 3, 5
	read[1].Oldest, read[1].Newest = 4, 6
	mustCommit(t, l, commit{advance: &Checkpoint{Pass: 1, Done: true, Tally: newCounts()}, files: m.atEnd(1, read)})
	same("files after the first pass", manifestOf(2).known, read[0], file("b", 1))

	second := manifestOf(2)
	second.begun, second.fresh = []extract.File{file("a", 1), file("c", 1)}, true
	mustCommit(t, l, commit{files: second.atBegin(2)})
	m = manifestOf(2)
	same("files before the second pass", m.known, read[0], file("b", 1))
	mustCommit(t, l, commit{files: m.atEnd(2, nil)})
	same("files after the second pass", manifestOf(3).known, read[0], file("c", 1))

	if err := l.ResetPosition(t.Context()); err != nil {
		t.Fatal(err)
	}
	same("files after a reset", manifestOf(3).known)
}

// TestManifestOfDivisions: what all shards have read need not be read again when
// the job is no longer divided, or is divided otherwise.
func TestManifestOfDivisions(t *testing.T) {
	s := openTestSQLite(t)
	j := testJob(t, s, "divided")
	a, b := extract.File{Set: "messages", Path: "a", Version: "1", Oldest: 4, Newest: 9}, extract.File{Set: "messages", Path: "b", Version: "1"}
	finish := func(shard string, files ...extract.File) {
		t.Helper()
		_, l, err := j.Acquire(t.Context(), shard, quiet)
		if err != nil {
			t.Fatal(err)
		}
		mustCommit(t, l, commit{
			advance: &Checkpoint{Pass: 1, Done: true, Tally: newCounts()}, files: &fileList{pass: 1, files: files, alone: true},
		})
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	known := func(want ...extract.File) {
		t.Helper()
		m, err := j.manifest(t.Context(), extract.Shard{}, 1)
		if d := cmp.Diff(want, m.known); d != "" || err != nil {
			t.Errorf("known (-want +got)\n%s%v", d, err)
		}
	}
	finish("0/2", a, b)
	known()
	wider := a
	wider.Oldest, wider.Newest = 2, 8
	finish("1/2", wider)
	wider.Newest = 9
	known(wider)
}
