package jobs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// collected are all rows of a store, but for the ids that each store gives.
type collected struct {
	name    string
	columns []tableColumn
	rows    map[string]map[string]int
}

func (c *collected) table(_ context.Context, name string, columns []tableColumn) error {
	c.name, c.columns, c.rows[name] = name, columns, make(map[string]int)
	return nil
}

func (c *collected) row(_ context.Context, values []any) error {
	var b strings.Builder
	for i, v := range values {
		if name := c.columns[i].Name; name == "id" && c.columns[i].Type == typeInteger || name == "job_id" || c.name == "leases" && name != "shard" {
			continue
		}
		if yes, ok := v.(bool); ok {
			v = map[bool]int64{true: 1}[yes]
		}
		fmt.Fprintf(&b, "%s=%q\n", c.columns[i].Name, fmt.Sprint(v))
	}
	c.rows[c.name][b.String()]++
	return nil
}

func stateOf(t *testing.T, ref StateRef) map[string]map[string]int {
	t.Helper()
	s, err := ref.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := &collected{rows: make(map[string]map[string]int)}
	if err := s.dump(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c.rows
}

// fullStore is a store with something in every table, and with bytes that are no
// text.
func fullStore(t *testing.T, ref StateRef) {
	t.Helper()
	s, err := ref.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, name := range []string{"other", "job"} {
		j := testJob(t, s, name)
		_, l, err := j.Acquire(t.Context(), "", quiet)
		if err != nil {
			t.Fatal(err)
		}
		mustCommit(t, l, commit{
			ledger:  []ledgerEntry{{"a\x00\xff" + name, 5, entryOf(1, 2, 1<<63, 1<<63+1)}, {"b", 0, entryOf(3, 4)}},
			due:     map[string]extract.Time{"due": 17},
			rejects: []extract.Reject{{Locator: "x", Reason: extract.BadID, ConversationID: "\xff", Detail: "ü"}, {Locator: "y", Reason: extract.BadID}},
			advance: &Checkpoint{Pass: 2, Lower: 1, Upper: 1 << 60, Position: "\x00p", Source: "v", Done: true, Tally: newCounts()},
		})
		for _, statement := range []string{
			`INSERT INTO runs (id, job_id, shard, epoch, host, pid, version, started_at) VALUES ('` + name + `', $1, '', 1, 'h', 2, 'v', 3)`,
			`INSERT INTO slots (job_id, slot, state) VALUES ($1, 60000, 'done')`,
			`INSERT INTO revisions (job_id, revision, run_id, used_at) VALUES ($1, 2, 'r', 4)`,
		} {
			if _, err := s.db.ExecContext(t.Context(), statement, j.id); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.forget(t.Context(), map[subject]bool{subjectOf(name): true}, nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// eachWay calls do with stores of both databases in all directions.
func eachWay(t *testing.T, do func(t *testing.T, from, to StateRef)) {
	stores := map[string]func(t *testing.T) StateRef{
		"sqlite":   func(t *testing.T) StateRef { return StateRef{SQLite: filepath.Join(t.TempDir(), "state.db")} },
		"postgres": func(t *testing.T) StateRef { return postgresRef(postgrestest.New(t)) },
	}
	for a, from := range stores {
		for b, to := range stores {
			t.Run(a+" to "+b, func(t *testing.T) { do(t, from(t), to(t)) })
		}
	}
}

func TestCopyState(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to StateRef) {
		fullStore(t, from)
		want := stateOf(t, from)
		if _, err := CopyState(t.Context(), from, to, quiet); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, stateOf(t, to)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		_, err := CopyState(t.Context(), from, to, quiet)
		if ExitCode(err) != ExitDiffers || !strings.Contains(err.Error(), "was moved to") {
			t.Errorf("copied a second time: %v", err)
		}
		if _, err := CopyState(t.Context(), to, from, quiet); ExitCode(err) != ExitDiffers {
			t.Errorf("copied into a store that was moved: %v", err)
		}
		size, err := from.Size(t.Context())
		if err != nil || size.Moved == "" || len(size.Jobs) != 2 || size.Bytes == 0 || size.Jobs[0].Events != 3 {
			t.Errorf("size of the old store %+v, %v", size, err)
		}
		// And back, into a new one.
		back := StateRef{SQLite: filepath.Join(t.TempDir(), "back.db")}
		if _, err := CopyState(t.Context(), to, back, quiet); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(len(want["ledger"]), len(stateOf(t, back)["ledger"])); diff != "" {
			t.Errorf("and back (-want +got)\n%s", diff)
		}
	})
}

// TestCopyStateErr: what is refused changes nothing.
func TestCopyStateErr(t *testing.T) {
	from, to := StateRef{SQLite: filepath.Join(t.TempDir(), "a.db")}, StateRef{SQLite: filepath.Join(t.TempDir(), "b.db")}
	if _, err := CopyState(t.Context(), from, to, quiet); ExitCode(err) != ExitUsage {
		t.Errorf("from a store that does not exist: %v", err)
	}
	fullStore(t, from)
	if _, err := CopyState(t.Context(), from, from, quiet); ExitCode(err) != ExitUsage {
		t.Errorf("onto itself: %v", err)
	}
	busy := openState(t, from)
	_, l, err := testJob(t, busy, "job").Acquire(t.Context(), "", quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CopyState(t.Context(), from, to, quiet); ExitCode(err) != ExitLeaseHeld {
		t.Errorf("while a job runs: %v", err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := openState(t, to)
	testJob(t, other, "job")
	_, err = CopyState(t.Context(), from, to, quiet)
	if ExitCode(err) != ExitDiffers || !strings.Contains(err.Error(), "already") {
		t.Errorf("into a store that has the job: %v", err)
	}
	if _, err := other.FindJob(t.Context(), "other", "label"); err != nil || len(stateOf(t, to)["ledger"]) != 0 {
		t.Errorf("some of it was copied: %v", err)
	}
	if _, lease, err := testJob(t, busy, "job").acquireIn(t.Context(), extract.Shard{}, quiet); err != nil {
		t.Errorf("the old store is marked: %v", err)
	} else if err := lease.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestExportState(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to StateRef) {
		fullStore(t, from)
		want := stateOf(t, from)
		file := filepath.Join(t.TempDir(), "state.ndjson.zst")
		if _, err := ExportState(t.Context(), from, file, "test", quiet); err != nil {
			t.Fatal(err)
		}
		if _, err := ImportState(t.Context(), file, to); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, stateOf(t, to)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if _, err := ExportState(t.Context(), from, file, "test", quiet); ExitCode(err) != ExitUsage {
			t.Errorf("over a file: %v", err)
		}
	})
}

func TestImportStateErr(t *testing.T) {
	from := StateRef{SQLite: filepath.Join(t.TempDir(), "a.db")}
	fullStore(t, from)
	file := filepath.Join(t.TempDir(), "state.ndjson")
	if _, err := ExportState(t.Context(), from, file, "test", quiet); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	good := string(data)
	lines := strings.SplitAfter(good, "\n")
	delivered := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, `{"table":"ledger"`) }) + 1
	for name, test := range map[string]struct {
		text string
		exit int
		want string
	}{
		"nothing":        {"", ExitUsage, "no export"},
		"something else": {"{\"a\": 1}\n", ExitUsage, "no export"},
		"a newer format": {strings.Replace(good, `"chatbackfill_state":1`, `"chatbackfill_state":2`, 1), ExitDiffers, "format 2"},
		"a newer schema": {strings.Replace(good, `"schema":`, `"schema":9`, 1), ExitDiffers, "schema 9"},
		"cut off":        {strings.Join(lines[:len(lines)-2], ""), ExitUnexpected, "cut off"},
		"a row is gone":  {strings.Replace(good, lines[delivered], "", 1), ExitUnexpected, "rows of"},
	} {
		to := StateRef{SQLite: filepath.Join(t.TempDir(), "b.db")}
		broken := filepath.Join(t.TempDir(), "broken.ndjson")
		if err := os.WriteFile(broken, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ImportState(t.Context(), broken, to)
		if ExitCode(err) != test.exit || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: exit %d: %v", name, ExitCode(err), err)
		}
		if size, err := to.Size(t.Context()); err != nil || len(size.Jobs) > 0 {
			t.Errorf("%s: left %+v, %v", name, size, err)
		}
	}
}

// TestStoryOfAMove: a job moves from SQLite to Postgres half way, where shards go
// on with it, and back, and sends nothing twice; on the old store it does not run.
func TestStoryOfAMove(t *testing.T) {
	want := wantEvents(t)
	d := newDelivery(t)
	d.mustRun(unchanged, func(e *Execution) { e.Limit = chats / 2 })
	before := events(d.server)
	old := d.spec().State
	d.extra = "state: " + postgrestest.New(t)
	if _, err := CopyState(t.Context(), old, d.spec().State, quiet); err != nil {
		t.Fatal(err)
	}
	stale := func(s *Spec) { s.State = old }
	if err := d.runWith(stale); ExitCode(err) != ExitDiffers || !strings.Contains(err.Error(), "was moved to postgres://") {
		t.Errorf("a run on the old store: %v", err)
	}
	d.checkOnce(before)
	for i := range 3 {
		d.mustRun(unchanged, func(e *Execution) { e.Shard = extract.Shard{Index: i, Of: 3} })
	}
	d.checkOnce(want)
	middle := d.spec().State
	d.extra = "state: sqlite:second.state.db"
	if _, err := CopyState(t.Context(), middle, d.spec().State, quiet); err != nil {
		t.Fatal(err)
	}
	d.mustRun(unchanged, func(e *Execution) { e.Full = true })
	d.checkOnce(want)
	if v, _ := d.verify(); v.Err() != nil || len(v.Counts) > 0 {
		t.Errorf("verify after the move: %v, %v", v.Counts, v.Err())
	}
}
