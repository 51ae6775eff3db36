package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
	"github.com/chatbackfill/chatbackfill/transform"
)

// gate is a destination whose answers a test gives one by one, in any order.
type gate struct {
	mu      sync.Mutex
	waiting map[uint64]chan error // by the key of the chunk's first event
	arrived chan uint64
}

func (g *gate) Send(_ context.Context, events []*transform.Event) (load.Delivery, error) {
	answer := make(chan error)
	g.mu.Lock()
	g.waiting[events[0].Key] = answer
	g.mu.Unlock()
	g.arrived <- events[0].Key
	err := <-answer
	d := load.Delivery{Outcomes: make([]load.Outcome, len(events))}
	for i := range d.Outcomes {
		// Of a chunk that fails the first half arrives.
		d.Outcomes[i].Accepted = err == nil || i < len(events)/2
	}
	if err == nil {
		d.State = json.RawMessage(strconv.FormatUint(events[0].Key, 10))
	}
	return d, err
}

// TestPipelineAgainstAModel sends chunks that end in any order, some of them
// badly, and compares the state after each with what a model says: the position
// is that of the longest run of chunks from the first that all ended well.
func TestPipelineAgainstAModel(t *testing.T) {
	state := openTestSQLite(t)
	jobs := 0
	rapid.Check(t, func(r *rapid.T) {
		jobs++
		job := testJob(t, state, fmt.Sprint("job", jobs))
		_, lease, err := job.Acquire(t.Context(), "", quiet)
		if err != nil {
			r.Fatal(err)
		}
		defer lease.Release(t.Context())
		n := rapid.IntRange(1, 6).Draw(r, "chunks")
		g := &gate{waiting: make(map[uint64]chan error), arrived: make(chan uint64, n)}
		p := newPipeline(g, lease, "run", Checkpoint{Pass: 1, Tally: newCounts()}, n)
		ended := make(chan struct{}, n)
		p.told = func(*sent, bool) { ended <- struct{}{} }
		m := model{good: make([]bool, n), whole: rapid.SliceOfN(rapid.Bool(), n, n).Draw(r, "whole")}
		for i := range n {
			if err := p.submit(t.Context(), testChunk(i, m.whole[i])); err != nil {
				r.Fatal(err)
			}
			<-g.arrived
		}
		for _, i := range rapid.Permutation(indices(n)).Draw(r, "order") {
			var failure error
			if m.good[i] = !rapid.Bool().Draw(r, "fails"); !m.good[i] {
				failure = errors.New("failed")
			}
			g.waiting[uint64(i)] <- failure
			<-ended
			m.check(r, job)
		}
		failed := p.wait(t.Context()) != nil
		if failed != m.failed() {
			r.Fatalf("the pipeline failed: %v, want %v", failed, m.failed())
		}
	})
}

// TestPipelineUnrecorded: a chunk that could not be recorded is not passed over
// by one that is recorded after it.
func TestPipelineUnrecorded(t *testing.T) {
	job := testJob(t, openTestSQLite(t), "job")
	_, lease := acquire(t, job)
	g := &gate{waiting: make(map[uint64]chan error), arrived: make(chan uint64, 2)}
	p := newPipeline(g, lease, "run", Checkpoint{Pass: 1, Tally: newCounts()}, 2)
	recorded := make(chan bool, 2)
	p.told = func(_ *sent, whole bool) { recorded <- whole }
	for i := range 2 {
		if err := p.submit(t.Context(), testChunk(i, true)); err != nil {
			t.Fatal(err)
		}
		<-g.arrived
	}
	for i, statement := range []string{`CREATE TRIGGER refuses BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'refused'); END`, `DROP TRIGGER refuses`} {
		if _, err := job.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		g.waiting[uint64(i)] <- nil
		if whole := <-recorded; whole != (i == 1) {
			t.Errorf("chunk %d is recorded: %t", i, whole)
		}
	}
	if p.wait(t.Context()) == nil {
		t.Error("no error")
	}
	if at, err := job.Checkpoint(t.Context(), ""); err != nil || at.Position != "" || at.Tally.RowCount() != 0 {
		t.Errorf("the checkpoint is %+v, %v", at, err)
	}
}

// TestPipelineAppendsWithoutAHole: what was appended after a chunk of which nothing
// is known is not recorded.
func TestPipelineAppendsWithoutAHole(t *testing.T) {
	job := testJob(t, openTestSQLite(t), "job")
	_, lease := acquire(t, job)
	p := newPipeline(&tape{bad: 100}, lease, "run", Checkpoint{Pass: 1, Tally: newCounts()}, 4)
	for _, seq := range []int{0, 1, 3} {
		p.send(t.Context(), testChunk(seq, true))
	}
	if err := p.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	delivered, err := job.Delivered(t.Context(), []string{"c0", "c1", "c3"})
	if _, ok := delivered["c3"]; err != nil || len(delivered) != 2 || ok {
		t.Errorf("the ledger has %v, %v", delivered, err)
	}
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// testChunk is a chunk of two events of one conversation, the last of it or not.
func testChunk(seq int, whole bool) *chunk {
	c := newChunk()
	c.seq = seq
	encoded := make([]byte, 100)
	c.events = []*transform.Event{{Key: uint64(seq), JSON: encoded}, {Key: uint64(seq) + 1000, JSON: encoded}}
	c.parts = []part{{conversation: fmt.Sprint("c", seq), to: 2}}
	c.tally.Rows[transform.Caused] = 2
	if whole {
		c.after = extract.Position(fmt.Sprint(seq))
	}
	return c
}

// model knows which chunks ended well, and which end with a conversation.
type model struct{ good, whole []bool }

func (m *model) failed() bool {
	for _, good := range m.good {
		if !good {
			return true
		}
	}
	return false
}

func (m *model) check(r *rapid.T, job *JobState) {
	position, rows := extract.Position(""), 0
	for i := range m.good {
		if !m.good[i] {
			break
		}
		if m.whole[i] {
			position, rows = extract.Position(fmt.Sprint(i)), 2*(i+1)
		}
	}
	at, err := job.Checkpoint(context.Background(), "")
	if err != nil {
		r.Fatal(err)
	}
	if at.Position != position || at.Tally.RowCount() != rows {
		r.Fatalf("position %q after %d rows, want %q after %d; ended well: %v", at.Position, at.Tally.RowCount(), position, rows, m.good)
	}
}

// tape is a destination that appends. From one chunk on either Send or Sync
// fails.
type tape struct {
	mu        sync.Mutex
	sent      []uint64 // the keys of the chunks' first events
	bad       uint64
	sendFails bool
}

func (a *tape) Send(_ context.Context, events []*transform.Event) (load.Delivery, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := load.Delivery{Outcomes: make([]load.Outcome, len(events)), State: json.RawMessage(strconv.Itoa(len(a.sent)))}
	if a.sendFails && events[0].Key >= a.bad {
		return d, errors.New("send failed")
	}
	a.sent = append(a.sent, events[0].Key)
	for i := range d.Outcomes {
		d.Outcomes[i].Accepted = true
	}
	d.State = json.RawMessage(strconv.Itoa(len(a.sent)))
	return d, nil
}

func (a *tape) Sync() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last := len(a.sent) - 1; last >= 0 && a.sent[last] >= a.bad {
		return errors.New("sync failed")
	}
	return nil
}

// TestPipelineAppends: chunks are appended in their order, and those that are
// recorded, with their ledger, are the first ones: none that comes after one of
// which nobody knows whether it is on the disk.
func TestPipelineAppends(t *testing.T) {
	const n = 12
	state := openTestSQLite(t)
	for _, sendFails := range []bool{false, true} {
		for bad := range uint64(n + 1) {
			job := testJob(t, state, fmt.Sprint("job", bad, sendFails))
			_, lease, err := job.Acquire(t.Context(), "", quiet)
			if err != nil {
				t.Fatal(err)
			}
			a := &tape{bad: bad, sendFails: sendFails}
			p := newPipeline(a, lease, "run", Checkpoint{Pass: 1, Tally: newCounts()}, 4)
			for i := 0; i < n && err == nil; i++ {
				err = p.submit(t.Context(), testChunk(i, true))
			}
			if err := p.wait(t.Context()); (err != nil) != (bad < n) {
				t.Fatalf("bad from %d on: error %v", bad, err)
			}
			wantAppended(t, job, a)
			if err := lease.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func wantAppended(t *testing.T, job *JobState, a *tape) {
	t.Helper()
	for i, key := range a.sent {
		if key != uint64(i) {
			t.Fatalf("sent %d, want them in order", a.sent)
		}
	}
	at, err := job.Checkpoint(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	recorded := at.Tally.RowCount() / 2
	if all := len(a.sent) == int(a.bad); recorded > int(a.bad) || a.sendFails && all && recorded != len(a.sent) {
		t.Fatalf("%d of %d chunks are recorded, bad from %d on", recorded, len(a.sent), a.bad)
	}
	if recorded > 0 && string(at.Destination) != strconv.Itoa(recorded) {
		t.Errorf("the destination's state is %s, want %d", at.Destination, recorded)
	}
	var ids []string
	for i := range a.sent {
		ids = append(ids, fmt.Sprint("c", i))
	}
	delivered, err := job.Delivered(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if _, ok := delivered[id]; ok != (i < recorded) {
			t.Errorf("chunk %d is in the ledger: %v; %d are recorded", i, ok, recorded)
		}
	}
}
