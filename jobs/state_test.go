package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

var quiet = slog.New(slog.DiscardHandler)

// Properties draw the same in every run: -rapid.seed=0 draws something else.
func init() {
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
}

func openTestSQLite(t *testing.T) *State {
	t.Helper()
	s, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSQLite(t *testing.T) { testState(t, openTestSQLite) }

// testState holds a state store to what a run relies on. Each test has a store
// of its own.
func testState(t *testing.T, open func(*testing.T) *State) {
	for name, test := range map[string]func(*testing.T, *State){
		"a new job has nothing":                 testNewJob,
		"a commit is read back":                 testCommit,
		"the ledger adds up":                    testLedgerAddsUp,
		"any bytes are an id":                   testAnyBytes,
		"a lease has one owner":                 testOneOwner,
		"who lost the lease writes facts only":  testFenced,
		"a lease that ran out is taken over":    testTakeOver,
		"rejects live and close":                testRejectLife,
		"rejects are taken back and retried":    testRejectsAgain,
		"settings are compared":                 testSettings,
		"files are those of passes":             testManifest,
		"jobs do not see each other":            testJobsApart,
		"a newer checkpoint format is refused":  testNewerFormat,
		"of many that start at once one begins": testOneBegins,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func testJob(t *testing.T, s *State, name string) *JobState {
	t.Helper()
	j, err := s.Job(t.Context(), name, "label")
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func acquire(t *testing.T, j *JobState) (context.Context, *Lease) {
	t.Helper()
	return acquireAnd(t, j, quiet)
}

// acquireAnd is acquire with a log for what the lease tells.
func acquireAnd(t *testing.T, j *JobState, log *slog.Logger) (context.Context, *Lease) {
	t.Helper()
	ctx, l, err := j.Acquire(t.Context(), "", log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Release(context.Background()) })
	return ctx, l
}

func mustCommit(t *testing.T, l *Lease, c commit) {
	t.Helper()
	if err := l.Commit(t.Context(), "run", c); err != nil {
		t.Fatal(err)
	}
}

func delivered(t *testing.T, j *JobState, ids ...string) map[string]Delivered {
	t.Helper()
	got, err := j.Delivered(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func entryOf(keyAndHash ...uint64) []byte {
	var b []byte
	for i := 0; i < len(keyAndHash); i += 2 {
		b = appendEntry(b, keyAndHash[i], keyAndHash[i+1])
	}
	return b
}

func testNewJob(t *testing.T, s *State) {
	j := testJob(t, s, "new")
	at, err := j.Checkpoint(t.Context(), "")
	if err != nil || at.Pass != 0 || at.Position != "" || at.Done {
		t.Errorf("checkpoint %+v, %v", at, err)
	}
	if empty, err := j.LedgerEmpty(t.Context()); !empty || err != nil {
		t.Errorf("ledger empty: %v, %v", empty, err)
	}
	if got := delivered(t, j, "a"); len(got) != 0 {
		t.Errorf("delivered %v", got)
	}
}

func testCommit(t *testing.T, s *State) {
	j := testJob(t, s, "job")
	_, l := acquire(t, j)
	want := Checkpoint{
		Pass: 3, Lower: 17, Upper: 1 << 60, Position: "1:\x00\xffrest", Source: "v1", Done: true,
		Tally: newCounts(), Destination: json.RawMessage(`{"length":5}`),
	}
	want.Tally.Rows[transform.Caused] = 4
	want.Tally.Events[transform.Accepted] = 5
	want.Tally.Conversations, want.Tally.RejectedRows = 2, 1
	want.Tally.Halted = &Halt{Rows: 9}
	mustCommit(t, l, commit{
		ledger:  []ledgerEntry{{"c1", 12345, entryOf(1, 2)}},
		due:     map[string]extract.Time{"c1": 99, "c2": 100},
		advance: &want,
	})
	got, err := j.Checkpoint(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checkpoint (-want +got)\n%s", diff)
	}
	mustCommit(t, l, commit{due: map[string]extract.Time{"c1": 0, "c2": 101}})
	due, err := j.Due(t.Context())
	if diff := cmp.Diff(map[string]extract.Time{"c2": 101}, due); diff != "" || err != nil {
		t.Errorf("due notes (-want +got)\n%s%v", diff, err)
	}
}

func testLedgerAddsUp(t *testing.T, s *State) {
	j := testJob(t, s, "job")
	_, l := acquire(t, j)
	mustCommit(t, l, commit{ledger: []ledgerEntry{{"c", 0, entryOf(1, 10)}}})
	mustCommit(t, l, commit{ledger: []ledgerEntry{{"c", 777, entryOf(2, 20, 3, 30)}, {"d", 5, entryOf(9, 90)}}})
	mustCommit(t, l, commit{ledger: []ledgerEntry{{"c", 888, entryOf(1, 11)}}})
	want := map[string]Delivered{
		"c": {Start: 777, Events: map[uint64]uint64{1: 11, 2: 20, 3: 30}},
		"d": {Start: 5, Events: map[uint64]uint64{9: 90}},
	}
	if diff := cmp.Diff(want, delivered(t, j, "c", "d", "e")); diff != "" {
		t.Errorf("delivered (-want +got)\n%s", diff)
	}
}

func testAnyBytes(t *testing.T, s *State) {
	j := testJob(t, s, "job")
	_, l := acquire(t, j)
	ids := []string{"a\x00b", "a\x00c", "\xff\xfe", "\xff", "ü", "u\u0308", " ", "a'; DROP TABLE ledger; --"}
	var c commit
	c.due = make(map[string]extract.Time)
	for i, id := range ids {
		c.ledger = append(c.ledger, ledgerEntry{id, extract.Time(i + 1), entryOf(uint64(i), 0)})
		c.due[id] = extract.Time(i + 1)
		c.rejects = append(c.rejects, extract.Reject{Locator: "at " + id, Reason: extract.BadID, Stage: extract.StageRead, ConversationID: id, MessageID: id, Detail: id})
	}
	mustCommit(t, l, c)
	got := delivered(t, j, ids...)
	for i, id := range ids {
		if got[id].Start != extract.Time(i+1) {
			t.Errorf("conversation %q starts at %d, want %d", id, got[id].Start, i+1)
		}
	}
	if due, err := j.Due(t.Context()); len(due) != len(ids) || err != nil {
		t.Errorf("%d due notes, want %d: %v", len(due), len(ids), err)
	}
	if rejects, err := j.Rejects(t.Context(), RejectOpen); len(rejects) != len(ids) || err != nil || rejects[2].ConversationID != "\xff\xfe" {
		t.Errorf("rejects %+v: %v", rejects, err)
	}
}

func testOneOwner(t *testing.T, s *State) {
	j := testJob(t, s, "job")
	_, l := acquire(t, j)
	_, _, err := j.Acquire(t.Context(), "", quiet)
	if ExitCode(err) != ExitLeaseHeld {
		t.Fatalf("acquire a lease that is held: %v", err)
	}
	if _, other, err := j.Acquire(t.Context(), "1/2", quiet); err != nil {
		t.Errorf("acquire another shard's lease: %v", err)
	} else {
		other.Release(t.Context())
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, next, err := j.Acquire(t.Context(), "", quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Release(t.Context())
	if next.epoch <= l.epoch {
		t.Errorf("epoch %d after %d", next.epoch, l.epoch)
	}
}

// expire makes the lease one that ran out, as if its owner had been stopped.
func expire(t *testing.T, l *Lease) {
	t.Helper()
	if _, err := l.job.db.ExecContext(t.Context(), `UPDATE leases SET expires_at = 0 WHERE job_id = $1`, l.job.id); err != nil {
		t.Fatal(err)
	}
}

func testFenced(t *testing.T, s *State) {
	j := testJob(t, s, "job")
	_, zombie := acquire(t, j)
	mustCommit(t, zombie, commit{advance: &Checkpoint{Pass: 1, Position: "1", Tally: newCounts()}})
	expire(t, zombie)
	_, owner := acquire(t, j)
	mustCommit(t, owner, commit{advance: &Checkpoint{Pass: 1, Position: "5", Tally: newCounts()}})
	err := zombie.Commit(t.Context(), "run", commit{
		ledger:  []ledgerEntry{{"c", 1, entryOf(1, 1)}},
		rejects: []extract.Reject{{Locator: "x", Reason: extract.BadID}},
		due:     map[string]extract.Time{"c": 1},
		advance: &Checkpoint{Pass: 1, Position: "2", Tally: newCounts()},
	})
	if !errors.Is(err, errFenced) || ExitCode(err) != ExitTakenOver {
		t.Errorf("commit without the lease: %v", err)
	}
	at, _ := j.Checkpoint(t.Context(), "")
	rejects, _ := j.Rejects(t.Context(), "")
	due, _ := j.Due(t.Context())
	if at.Position != "5" || len(rejects) != 0 || len(due) != 0 {
		t.Errorf("it moved the position to %q, wrote %d rejects and %d due notes", at.Position, len(rejects), len(due))
	}
	if got := delivered(t, j, "c"); got["c"].Start != 1 {
		t.Error("what was accepted is not in the ledger")
	}
	err = zombie.Commit(t.Context(), "run", commit{ledger: []ledgerEntry{{"in a file", 1, entryOf(2, 2)}}, bound: true})
	if got := delivered(t, j, "in a file"); !errors.Is(err, errFenced) || len(got) != 0 {
		t.Errorf("the ledger has %v, which the next owner cuts off: %v", got, err)
	}
	if err := zombie.renew(t.Context()); !errors.Is(err, errFenced) {
		t.Errorf("renew without the lease: %v", err)
	}
}

func testTakeOver(t *testing.T, s *State) {
	j := testJob(t, s, "job")
	_, l := acquire(t, j)
	l.mu.Lock()
	l.renewed = time.Now().Add(-leaseGrace - time.Second)
	l.mu.Unlock()
	if err := l.Permit(t.Context()); err != nil {
		t.Errorf("permit while the lease is ours: %v", err)
	}
	expire(t, l)
	_, next := acquire(t, j)
	l.mu.Lock()
	l.renewed = time.Now().Add(-leaseGrace - time.Second)
	l.mu.Unlock()
	if err := l.Permit(t.Context()); !errors.Is(err, errFenced) {
		t.Errorf("permit after another took over: %v", err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := next.renew(t.Context()); err != nil {
		t.Errorf("the release of the one before took the lease away: %v", err)
	}
}

func testRejectLife(t *testing.T, s *State) {
	j := testJob(t, s, "job")
	_, l := acquire(t, j)
	row := extract.Reject{Locator: "f.parquet row 7", Reason: extract.UnknownRole, Stage: extract.StageRead, Set: extract.SetMessages, ConversationID: "c", Detail: "robot"}
	event := extract.Reject{Locator: "id-1", Reason: "refused_by_segment", Stage: extract.StageSend, ConversationID: "c"}
	mustCommit(t, l, commit{rejects: []extract.Reject{row, event}})
	row.Detail = "robot2"
	mustCommit(t, l, commit{rejects: []extract.Reject{row}})
	check := func(state string, want ...string) {
		t.Helper()
		found, err := j.FindRejects(t.Context(), RejectFilter{State: state})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range found {
			got = append(got, r.Locator+" "+r.Detail)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s rejects (-want +got)\n%s", state, diff)
		}
	}
	check(RejectOpen, "f.parquet row 7 robot2", "id-1 ")
	mustCommit(t, l, commit{clean: []string{"c"}})
	check(RejectOpen, "id-1 ")
	check(RejectClosed, "f.parquet row 7 robot2")
	mustCommit(t, l, commit{rejects: []extract.Reject{row}})
	check(RejectOpen, "f.parquet row 7 robot2", "id-1 ")
	if _, err := l.Settle(t.Context(), RejectFilter{Reason: "refused_by_segment"}, RejectDropped); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, l, commit{rejects: []extract.Reject{event}})
	check(RejectDropped, "id-1 ")
}

// testRejectsAgain takes rejects back and tries them again, which only the owner
// of the lease may do, and leaves the position where it is.
func testRejectsAgain(t *testing.T, s *State) {
	j := testJob(t, s, "job")
	_, zombie := acquire(t, j)
	refused := func(id, conversation string) extract.Reject {
		return extract.Reject{Locator: id, Reason: "refused_by_segment", Stage: extract.StageSend, ConversationID: conversation}
	}
	mustCommit(t, zombie, commit{
		rejects: []extract.Reject{refused("id-1", "a"), refused("id-2", "b"), refused("id-3", "c"), refused("id-4", "")},
		advance: &Checkpoint{Pass: 1, Position: "1", Tally: newCounts()},
	})
	expire(t, zombie)
	_, owner := acquire(t, j)
	all := []string{"id-1", "id-2"}
	again := &Selection{Retry: make(map[int64]bool)} // all but the first
	check := func(when string, want ...string) {
		t.Helper()
		open, err := j.Rejects(t.Context(), RejectOpen)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range open {
			got = append(got, r.Locator)
			if r.Locator != "id-1" {
				again.Retry[r.ID] = true
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("open rejects after %s (-want +got)\n%s", when, diff)
		}
	}
	check("they were recorded", "id-1", "id-2", "id-3", "id-4")
	for _, err := range []error{zombie.takeBack(t.Context(), all, 7, again), zombie.closeRetried(t.Context(), again.Retry, "later", true)} {
		if !errors.Is(err, errFenced) {
			t.Errorf("without the lease: %v", err)
		}
	}
	check("another took over", "id-1", "id-2", "id-3", "id-4")
	if err := owner.takeBack(t.Context(), all, 7, again); err != nil {
		t.Fatal(err)
	}
	check("two were taken back of which one is tried again", "id-2", "id-3", "id-4")
	due, _ := j.Due(t.Context())
	if at, _ := j.Checkpoint(t.Context(), ""); at.Position != "1" || len(due) != 1 || due["a"] != 7 {
		t.Errorf("position %q, due %v", at.Position, due)
	}
	for _, step := range []struct {
		when, run string
		strays    bool
		want      []string
	}{
		{"the run recorded them anew", "run", true, []string{"id-2", "id-3", "id-4"}},
		{"a run that reads conversations only", "later", false, []string{"id-4"}},
		{"a run that reads all rows", "later", true, nil},
	} {
		if err := owner.closeRetried(t.Context(), again.Retry, step.run, step.strays); err != nil {
			t.Fatal(err)
		}
		check(step.when, step.want...)
	}
}

func testSettings(t *testing.T, s *State) {
	j := testJob(t, s, "job")
	spec := &Spec{Name: "job", Namespace: "job", Destination: DestinationSpec{File: &FileSpec{Path: "a.ndjson", Source: "file"}}}
	check := func(when string, at Checkpoint, exit int) {
		t.Helper()
		if err := j.checkSettings(t.Context(), spec, at); ExitCode(err) != exit {
			t.Errorf("%s: exit %d, want %d: %v", when, ExitCode(err), exit, err)
		}
	}
	check("the first time", Checkpoint{}, ExitDone)
	if err := j.setSettings(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	begun := Checkpoint{Pass: 2, Position: "9", Source: "v", Tally: newCounts()}
	spec.Destination.File.Path = "b.ndjson"
	check("after a free change", begun, ExitDone)
	spec.Namespace = "other"
	check("after another namespace, when nothing was delivered", Checkpoint{}, ExitDone)
	check("after another namespace", begun, ExitDiffers)
	_, l := acquire(t, j)
	mustCommit(t, l, commit{advance: &begun})
	expire(t, l)
	_, next := acquire(t, j)
	if err := l.Accept(t.Context(), spec); !errors.Is(err, errFenced) {
		t.Errorf("accepting without the lease: %v", err)
	}
	check("after accepting that did not come to its end", begun, ExitDiffers)
	if err := next.Accept(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	check("after accepting", begun, ExitDone)
	if at, _ := j.Checkpoint(t.Context(), ""); at.Position != "" || at.Source != "" || !at.Done || at.Pass != 2 {
		t.Errorf("checkpoint after accepting: %+v", at)
	}
}

func testJobsApart(t *testing.T, s *State) {
	one, two := testJob(t, s, "one"), testJob(t, s, "two")
	_, l := acquire(t, one)
	acquire(t, two)
	mustCommit(t, l, commit{
		ledger: []ledgerEntry{{"c", 1, entryOf(1, 1)}}, due: map[string]extract.Time{"c": 1},
		rejects: []extract.Reject{{Locator: "x", Reason: extract.BadID}},
		advance: &Checkpoint{Pass: 1, Position: "1", Tally: newCounts()},
	})
	at, _ := two.Checkpoint(t.Context(), "")
	due, _ := two.Due(t.Context())
	rejects, _ := two.Rejects(t.Context(), "")
	if at.Pass != 0 || len(due) != 0 || len(rejects) != 0 || len(delivered(t, two, "c")) != 0 {
		t.Errorf("the other job has %+v, %v, %v", at, due, rejects)
	}
}

func testNewerFormat(t *testing.T, s *State) {
	j := testJob(t, s, "job")
	_, l := acquire(t, j)
	mustCommit(t, l, commit{advance: &Checkpoint{Pass: 1, Tally: newCounts()}})
	if _, err := s.db.ExecContext(t.Context(), `UPDATE checkpoints SET format = format + 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Checkpoint(t.Context(), ""); ExitCode(err) != ExitDiffers {
		t.Errorf("read a newer checkpoint: %v", err)
	}
}

func testOneBegins(t *testing.T, s *State) {
	j := testJob(t, s, "job")
	const many = 10
	leases := make(chan *Lease, many)
	var wg sync.WaitGroup
	for range many {
		wg.Go(func() {
			_, l, err := j.Acquire(context.Background(), "", quiet)
			switch {
			case err == nil:
				leases <- l
			case ExitCode(err) != ExitLeaseHeld:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(leases)
	if len(leases) != 1 {
		t.Errorf("%d have the lease", len(leases))
	}
	for l := range leases {
		l.Release(t.Context())
	}
}

func TestSQLiteErrNotADatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, []byte("these are notes of mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSQLite(t.Context(), path); ExitCode(err) != ExitDiffers {
		t.Errorf("open: %v", err)
	}
	if got, err := os.ReadFile(path); string(got) != "these are notes of mine" {
		t.Errorf("the file was changed to %q, %v", got, err)
	}
}

// TestSQLiteErrFull: a disk that is full is no mistake in the job file, and no
// surprise. The next run may find room.
func TestSQLiteErrFull(t *testing.T) {
	s := openTestSQLite(t)
	s.db.SetMaxOpenConns(1)
	if _, err := s.db.Exec(`PRAGMA max_page_count = 1`); err != nil {
		t.Fatal(err)
	}
	_, err := s.db.Exec(`INSERT INTO jobs (name, label, settings, created_at) VALUES ('a', 'b', zeroblob(1000000), 0)`)
	if err == nil {
		t.Fatal("there is room")
	}
	for _, err := range []error{err, s.openError(err)} {
		if ExitCode(err) != ExitInterrupted {
			t.Errorf("exit %d: %v", ExitCode(err), err)
		}
	}
}

func TestSQLiteErrNoFolder(t *testing.T) {
	if _, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "no", "state.db")); ExitCode(err) != ExitUsage {
		t.Errorf("open: %v", err)
	}
}
