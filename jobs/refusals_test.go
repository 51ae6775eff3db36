package jobs

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

const refusalsJob = `
name: refusals
source:
  parquet:
    messages: {files: ['*.parquet'], fields: {user_id: author_id}}
conversation: {wait_for_agent: 0s}
`

// refusals is a delivery of conversations of one message, which is two events:
// some read before others.
type refusals struct {
	*delivery
	ids     []string // in the order in which a pass reads them
	written int      // minutes after the messages were sent
}

func newRefusals(t *testing.T) *refusals {
	r := &refusals{delivery: &delivery{
		T: t, server: segmenttest.New(t), dir: t.TempDir(), job: refusalsJob, chunk: 1000, stop: make(chan struct{}), retryFor: "10m",
	}, written: int(24 * time.Hour / time.Minute)}
	for i := range 30 {
		r.ids = append(r.ids, fmt.Sprint("c", i))
	}
	var source extract.Parquet
	slices.SortFunc(r.ids, func(a, b string) int { return strings.Compare(string(source.After(a)), string(source.After(b))) })
	return r
}

// export writes a file of conversations.
func (r *refusals) export(file string, ids []string) {
	r.Helper()
	var rows []arrivedRow
	for _, id := range ids {
		rows = append(rows, arrivedRow{id, id + " 1", noon.UnixMilli(), "customer", "message", "u", nil})
	}
	writeExport(r.T, filepath.Join(r.dir, file), r.written, rows)
}

// refuse lets Segment refuse what it is sent and runs the job, which is to halt.
func (r *refusals) refuse(options ...func(*Execution)) {
	r.Helper()
	r.server.Fault(segmenttest.Always(segmenttest.Status(400)))
	err := r.runWith(unchanged, options...)
	if ExitCode(err) != ExitRefused || !strings.Contains(err.Error(), "one after the other") {
		r.Fatalf("exit %d: %v", ExitCode(err), err)
	}
}

// wantAll runs the job on a server that works: everything is accepted, once, and
// nothing is left to do.
func (r *refusals) wantAll() {
	r.Helper()
	r.healed()
	if n := len(r.server.Accepted()); n != 2*len(r.ids) || len(r.server.Duplicates()) > 0 {
		r.Errorf("%d events accepted, want %d; twice %v", n, 2*len(r.ids), r.server.Duplicates())
	}
	if left := r.rejects(); len(left) > 0 || len(r.due()) > 0 {
		r.Errorf("left are rejects %v, due %v", left, r.due())
	}
}

// TestRefusalsOverTwoPasses: what a resumed pass counts as refused, before the
// next one shows that everything is, is sent by the run that follows; also from
// files that are older than their messages.
func TestRefusalsOverTwoPasses(t *testing.T) {
	r := newRefusals(t)
	testRefusalsOverTwoPasses(r)
	r = newRefusals(t)
	r.written = -60
	testRefusalsOverTwoPasses(r)
}

func testRefusalsOverTwoPasses(r *refusals) {
	r.Helper()
	r.export("a.parquet", r.ids[20:])
	if err := r.runWith(unchanged, func(e *Execution) { e.Limit = 5 }); err != nil {
		r.Fatal(err)
	}
	r.export("b.parquet", r.ids[:20]) // all before where the pass goes on
	r.refuse()
	if left := r.rejects(); len(left) > 0 {
		r.Errorf("rejects %v", left)
	}
	due := r.due()
	if got, want := slices.Sorted(maps.Keys(due)), slices.Sorted(slices.Values(r.ids[25:])); !slices.Equal(got, want) {
		r.Errorf("due are %v, want %v", got, want)
	}
	for id, at := range due {
		if at > extract.TimeOf(noon) {
			r.Errorf("conversation %s is due at %s, after it began", id, at)
		}
	}
	r.wantAll()
}

// TestRefusalsOfARetry: rejects that are tried again stay open until all of the
// retry is done, whatever it ends with.
func TestRefusalsOfARetry(t *testing.T) {
	r := newRefusals(t)
	r.export("a.parquet", r.ids)
	r.server.Fault(refuseSent)
	if err := r.runWith(unchanged); err != nil {
		t.Fatal(err)
	}
	again := &Selection{Conversations: make(map[string]bool), Retry: make(map[int64]bool)}
	for _, reject := range r.rejects() {
		again.Conversations[reject.ConversationID] = true
		again.Retry[reject.ID] = true
	}
	if len(again.Retry) != len(r.ids) {
		t.Fatalf("%d rejects, want %d", len(again.Retry), len(r.ids))
	}
	retry := func(e *Execution) { e.Select, e.chunkEvents = again, 1 }
	wantOpen := func(when string) {
		t.Helper()
		if open := len(r.rejects()); open != len(r.ids) {
			t.Errorf("%d rejects are open after %s, want %d", open, when, len(r.ids))
		}
	}
	r.server.Fault(segmenttest.Always(segmenttest.Status(401)))
	if err := r.runWith(unchanged, retry); ExitCode(err) != ExitRefused {
		t.Fatal(err)
	}
	wantOpen("a wrong key")
	r.refuse(retry)
	wantOpen("20 refusals")
	if due := r.due(); len(due) > 0 {
		t.Errorf("due %v", due)
	}
	r.server.Fault(segmenttest.Always(segmenttest.Answer{}))
	if err := r.runWith(unchanged, retry); err != nil {
		t.Fatal(err)
	}
	r.wantAll()
}

// refuseSent refuses what customers sent.
func refuseSent(r segmenttest.Request) segmenttest.Answer {
	if strings.Contains(string(r.Body), "Live Chat Message Sent") {
		return segmenttest.Status(400)
	}
	return segmenttest.Answer{}
}

// TestRetryOfABadID: rows of no conversation are read again in files; a database
// cannot be asked for them, and their rejects stay open.
func TestRetryOfABadID(t *testing.T) {
	row := arrivedRow{"", "m1", noon.UnixMilli(), "customer", "message", "anna", nil}
	a, c := newArrivals(t), newChatTable(t)
	c.insert(row, noon)
	c.exec(`UPDATE messages SET conversation_id = NULL`)
	a.rows = []arrivedRow{row}
	retried := func(e *Execution) {
		e.Select = &Selection{Conversations: map[string]bool{"": true}, Retry: map[int64]bool{1: true}}
	}
	a.run(10, nil)
	if s := a.run(10, retried); s.Rejects != 1 {
		t.Errorf("%d rejects after a retry over files", s.Rejects)
	}
	a.rows[0].Conversation = "c"
	if s := a.run(20, retried); s.Rejects != 0 {
		t.Errorf("%d rejects after a retry over files that were mended", s.Rejects)
	}
	c.run()
	e := c.execution()
	retried(&e)
	if s, err := Execute(t.Context(), e); s.Rejects != 1 || err != nil {
		t.Errorf("%d rejects after a retry over a database: %v", s.Rejects, err)
	}
}

// TestRefusalsWithoutLedger: without a ledger a part of the source cannot be
// looked at again, and what was refused stays a reject.
func TestRefusalsWithoutLedger(t *testing.T) {
	r := newRefusals(t)
	r.extra = "ledger: off"
	r.export("a.parquet", r.ids)
	r.refuse(func(e *Execution) { e.chunkEvents = 2 })
	rejects := r.rejects()
	if len(rejects) == 0 {
		t.Fatal("there are no rejects")
	}
	r.healed()
	if n := len(r.server.Accepted()) + len(rejects); n != 2*len(r.ids) || len(r.rejects()) != len(rejects) || len(r.server.Duplicates()) > 0 {
		t.Errorf("%d events accepted or rejected, want %d; twice %v", n, 2*len(r.ids), r.server.Duplicates())
	}
}

func (d *delivery) due() (due map[string]extract.Time) {
	d.state(func(j *JobState) {
		var err error
		if due, err = j.Due(d.Context()); err != nil {
			d.Fatal(err)
		}
	})
	return due
}
