package jobs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/jobs/examples"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// delivery is a job into a local Segment.
type delivery struct {
	*testing.T
	server *segmenttest.Server
	dir    string
	job    string // the job file without destination
	extra  string // further lines of it
	log    bytes.Buffer
	chunk  int
	stop   chan struct{}

	retryFor string
}

// chats are conversations enough for several batches.
const chats = 400

func newDelivery(t *testing.T) *delivery {
	t.Helper()
	return newDeliveryOf(t, chats)
}

func newDeliveryOf(t *testing.T, conversations int) *delivery {
	t.Helper()
	d := &delivery{T: t, server: segmenttest.New(t), dir: t.TempDir(), job: deliveryJob, chunk: 7 * conversations / 4, stop: make(chan struct{}), retryFor: "10m"}
	f, err := os.Create(filepath.Join(d.dir, "chats.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(examples.Write(f, conversations, 3, nil), f.Close()); err != nil {
		t.Fatal(err)
	}
	return d
}

const deliveryJob = `
name: chats
source:
  parquet:
    messages:
      files: [chats.parquet]
      fields:
        conversation_id: chat_id
        message_id: id
        sent_at: created_at
        changed_at: inserted_at
        sequence: seq
        role: {column: author_type, values: {user: customer, lead: customer, admin: agent}}
        kind: {column: part_type, values: {comment: message, close: end, assignment: assign, open: ignore, rating: ignore}}
        user_id: contact_id
        anonymous_id: visitor_id
        deleted: is_deleted
conversation: {identity: anonymous}
`

const canaryKey = "canary-write-key-7f3a"

// canaryBody is what an agent often says in the example export.
const canaryBody = "Is there anything else I can do for you?"

func (d *delivery) spec() *Spec {
	d.Helper()
	file := d.job + `
destination:
  segment: {source: test, write_key: "` + canaryKey + `", rate: unlimited, retry_for: ` + d.retryFor + `, endpoint: "` + d.server.URL + `"}
` + d.extra
	spec, err := ParseSpec(filepath.Join(d.dir, "job.yaml"), []byte(file), os.LookupEnv)
	if err != nil {
		d.Fatal(err)
	}
	return spec
}

// run runs the job once with small chunks, so that there are several.
func (d *delivery) run() (Summary, error) {
	d.Helper()
	level := &slog.HandlerOptions{Level: slog.LevelDebug}
	summary, err := Execute(d.Context(), Execution{
		Spec: d.spec(), Stop: d.stop, Log: slog.New(slog.NewTextHandler(&d.log, level)), chunkEvents: d.chunk,
	})
	d.checkSecrets(err)
	return summary, err
}

// checkSecrets looks for the write key and for message bodies where they must
// not be: in the log, the error and the state store.
func (d *delivery) checkSecrets(failure error) {
	d.Helper()
	seen := d.log.String()
	if failure != nil {
		seen += failure.Error()
	}
	stored, err := filepath.Glob(filepath.Join(d.dir, "*.state.db*"))
	if err != nil || len(stored) == 0 {
		d.Fatalf("no state store: %v", err)
	}
	for _, path := range stored {
		data, err := os.ReadFile(path)
		if err != nil {
			d.Fatal(err)
		}
		seen += string(data)
	}
	if strings.Contains(seen, canaryKey) {
		d.Error("the write key can be seen")
	}
	if strings.Contains(seen, canaryBody) {
		d.Error("a message body can be seen")
	}
}

// state calls look with the job's state.
func (d *delivery) state(look func(j *JobState)) {
	d.Helper()
	err := WithState(d.Context(), d.spec(), func(j *JobState) error { look(j); return nil })
	if err != nil {
		d.Fatal(err)
	}
}

func (d *delivery) checkpoint() (at Checkpoint) {
	d.state(func(j *JobState) {
		var err error
		if at, err = j.Checkpoint(d.Context(), ""); err != nil {
			d.Fatal(err)
		}
	})
	return at
}

func (d *delivery) rejects() (found []StoredReject) {
	d.state(func(j *JobState) {
		var err error
		if found, err = j.Rejects(d.Context(), RejectOpen); err != nil {
			d.Fatal(err)
		}
	})
	return found
}

// healed lets the job run to its end on a server that works.
func (d *delivery) healed() {
	d.Helper()
	d.retryFor = "10m"
	d.server.Fault(segmenttest.Always(segmenttest.Answer{}))
	d.stop = make(chan struct{})
	if _, err := d.run(); err != nil {
		d.Fatalf("run on a server that works: %v", err)
	}
}

func events(s *segmenttest.Server) map[string]string {
	all := make(map[string]string)
	for id, e := range s.Accepted() {
		all[id] = string(e.JSON)
	}
	return all
}

// wantEvents are the events of an undisturbed run.
func wantEvents(t *testing.T) map[string]string {
	t.Helper()
	return wantEventsOf(t, chats)
}

func wantEventsOf(t *testing.T, conversations int) map[string]string {
	t.Helper()
	undisturbed.Lock()
	defer undisturbed.Unlock()
	if undisturbed.events[conversations] == nil {
		d := newDeliveryOf(t, conversations)
		if _, err := d.run(); err != nil {
			t.Fatal(err)
		}
		undisturbed.events[conversations] = events(d.server)
	}
	return maps.Clone(undisturbed.events[conversations])
}

// undisturbed has the events of undisturbed runs by their conversations: every
// run makes the same.
var undisturbed = struct {
	sync.Mutex
	events map[int]map[string]string
}{events: map[int]map[string]string{}}

func (d *delivery) checkAccepted(want map[string]string) {
	d.Helper()
	got := events(d.server)
	if maps.Equal(got, want) {
		return
	}
	for id, e := range want {
		if got[id] != e {
			d.Errorf("event %s\n got %s\nwant %s", id, got[id], e)
			break
		}
	}
	d.Errorf("%d events accepted, want %d", len(got), len(want))
}

// TestDeliveryThroughFaults runs a job into a Segment that fails in some way,
// then once more into one that works: all events are accepted in the end, with
// the same bytes, and as few twice as can be.
func TestDeliveryThroughFaults(t *testing.T) {
	want := wantEvents(t)
	for name, test := range map[string]struct {
		fault      func(segmenttest.Request) segmenttest.Answer
		exit       int
		duplicates bool // events may arrive twice
		nothing    bool // nothing is accepted, nothing is recorded
	}{
		"answers are lost after accepting": {fault: segmenttest.Times(2, segmenttest.LoseAnswer()), duplicates: true},
		"overloaded for a while":           {fault: segmenttest.Times(2, segmenttest.Status(503))},
		"throttled":                        {fault: segmenttest.Times(3, segmenttest.Throttle("0"))},
		"throttled with garbage":           {fault: segmenttest.Times(2, segmenttest.Throttle("soon"))},
		"down for longer than retry_for":   {fault: segmenttest.Always(segmenttest.Status(500)), exit: ExitInterrupted, nothing: true},
		"never answers well":               {fault: segmenttest.Always(segmenttest.Answer{Lost: true, Status: 500}), exit: ExitInterrupted, nothing: true},
		"wrong key":                        {fault: segmenttest.Always(segmenttest.Status(401)), exit: ExitRefused, nothing: true},
		"forbidden":                        {fault: segmenttest.Always(segmenttest.Status(403)), exit: ExitRefused, nothing: true},
		"not found":                        {fault: segmenttest.Always(segmenttest.Status(404)), exit: ExitRefused, nothing: true},
		"no content":                       {fault: segmenttest.Always(segmenttest.Status(204)), exit: ExitRefused, nothing: true},
		"a sign-in page":                   {fault: segmenttest.Always(segmenttest.HTML()), exit: ExitRefused, nothing: true},
		"no success":                       {fault: segmenttest.Always(segmenttest.NoSuccess()), exit: ExitRefused, nothing: true},
		"everything is refused":            {fault: segmenttest.Always(segmenttest.Status(400)), exit: ExitRefused, nothing: true},
		"clock set back during the run":    {fault: after(3, segmenttest.Skew(72*time.Hour)), exit: ExitInterrupted},
		"clock an hour off":                {fault: segmenttest.Always(segmenttest.Skew(time.Hour)), exit: ExitInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDelivery(t)
			d.server.Fault(test.fault)
			if test.exit == ExitInterrupted {
				d.retryFor = "1s"
			}
			_, err := d.run()
			if ExitCode(err) != test.exit {
				t.Errorf("exit %d, want %d: %v", ExitCode(err), test.exit, err)
			}
			if n := len(d.rejects()); test.nothing && n != 0 {
				t.Errorf("%d rejects", n)
			}
			if at := d.checkpoint(); test.nothing && (at.Position != "" || at.Done || len(d.server.Accepted()) > 0) {
				t.Errorf("position %q, done %v, %d events accepted", at.Position, at.Done, len(d.server.Accepted()))
			}
			d.healed()
			d.checkAccepted(want)
			if n := len(d.server.Duplicates()); n > 0 && !test.duplicates {
				t.Errorf("%d events arrived twice", n)
			}
		})
	}
}

// after is a fault of all requests but the first n.
func after(n int, a segmenttest.Answer) func(segmenttest.Request) segmenttest.Answer {
	return func(r segmenttest.Request) segmenttest.Answer {
		if r.N <= n {
			return segmenttest.Answer{}
		}
		return a
	}
}

// TestDeliveryOfABadEvent refuses one event for ever: it alone is rejected, is
// left out by the runs that follow, and is sent once somebody says so.
func TestDeliveryOfABadEvent(t *testing.T) {
	want := wantEvents(t)
	ids := slices.Sorted(maps.Keys(want))
	poison := ids[len(ids)/2]
	d := newDelivery(t)
	d.server.Fault(segmenttest.Poison(poison))
	if _, err := d.run(); err != nil {
		t.Fatal(err)
	}
	rejects := d.rejects()
	i := slices.IndexFunc(rejects, func(r StoredReject) bool { return r.Locator == poison })
	if i < 0 || rejects[i].Reason != "refused_by_segment" {
		t.Fatalf("rejects %+v", rejects)
	}
	if n := len(d.server.Duplicates()); n > 0 {
		t.Errorf("%d of its neighbours arrived twice", n)
	}
	before := len(d.server.Requests())
	d.server.Fault(segmenttest.Always(segmenttest.Answer{}))
	spec := d.spec()
	if _, err := Execute(t.Context(), Execution{Spec: spec, Full: true, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if n := len(d.server.Requests()); n != before {
		t.Errorf("%d requests of a run that has nothing to send", n-before)
	}
	only := &Selection{Conversations: map[string]bool{rejects[i].ConversationID: true}, Retry: map[int64]bool{rejects[i].ID: true}}
	if _, err := Execute(t.Context(), Execution{Spec: spec, Select: only, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	d.checkAccepted(want)
	if n := len(d.server.Duplicates()); n > 0 {
		t.Errorf("%d events arrived twice", n)
	}
}

// TestDeliveryPositionIsContiguous delays one batch while others go on, and
// looks at the checkpoint whenever a request arrives: it never claims what is
// not accepted.
func TestDeliveryPositionIsContiguous(t *testing.T) {
	d := newDelivery(t)
	d.chunk = 200
	spec := d.spec()
	state, err := spec.State.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	job, err := state.Job(t.Context(), spec.Name, spec.Label())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	n, last := 0, 0
	d.server.Fault(func(segmenttest.Request) segmenttest.Answer {
		mu.Lock()
		defer mu.Unlock()
		n++
		at, err := job.Checkpoint(context.Background(), "")
		for n == 12 && at.Position == "" && err == nil { // however late the first chunk ends
			at, err = job.Checkpoint(context.Background(), "")
		}
		accepted := at.Tally.Events["accepted"]
		if err != nil || accepted < last || accepted > len(d.server.Accepted()) {
			t.Errorf("the checkpoint counts %d events, counted %d before, %d are accepted: %v", accepted, last, len(d.server.Accepted()), err)
		}
		last = accepted
		if n%5 == 3 {
			return segmenttest.Answer{After: 100 * time.Millisecond}
		}
		return segmenttest.Answer{}
	})
	if _, err := d.run(); err != nil {
		t.Fatal(err)
	}
	if last == 0 {
		t.Error("the position never moved while requests arrived")
	}
}

// TestDeliveryStopped tells the run to stop while a batch is under way: what is
// under way ends and counts, and nothing is sent twice by the next run.
func TestDeliveryStopped(t *testing.T) {
	want := wantEvents(t)
	d := newDelivery(t)
	var once sync.Once
	requests := 0
	var mu sync.Mutex
	d.server.Fault(func(segmenttest.Request) segmenttest.Answer {
		mu.Lock()
		defer mu.Unlock()
		if requests++; requests == 3 {
			once.Do(func() { close(d.stop) })
		}
		return segmenttest.Answer{After: 20 * time.Millisecond}
	})
	_, err := d.run()
	if ExitCode(err) != ExitInterrupted {
		t.Fatalf("exit %d: %v", ExitCode(err), err)
	}
	if n := len(d.server.Accepted()); n == 0 || n == len(want) {
		t.Fatalf("%d of %d events accepted when it was stopped", n, len(want))
	}
	d.healed()
	d.checkAccepted(want)
	if n := len(d.server.Duplicates()); n > 0 {
		t.Errorf("%d events arrived twice", n)
	}
}

// TestDeliveryWithABadMapping halts before much of it is sent, stays halted, and
// sends everything once the mapping is right.
func TestDeliveryWithABadMapping(t *testing.T) {
	want := wantEvents(t)
	d := newDelivery(t)
	spec := d.spec()
	delete(spec.Source.Parquet.Messages[0].Fields["role"].Values, "lead")
	quiet := slog.New(slog.DiscardHandler)
	for range 2 {
		_, err := Execute(t.Context(), Execution{Spec: spec, Log: quiet, chunkEvents: 700})
		if ExitCode(err) != ExitRejects {
			t.Fatalf("exit %d: %v", ExitCode(err), err)
		}
	}
	if n := len(d.rejects()); n == 0 {
		t.Error("there is nothing to look at")
	}
	_, err := d.run()
	if ExitCode(err) != ExitDiffers {
		t.Fatalf("exit %d after the mapping was changed: %v", ExitCode(err), err)
	}
	err = WithLease(t.Context(), d.spec(), quiet, func(ctx context.Context, l *Lease) error { return l.Accept(ctx, d.spec()) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.run(); err != nil {
		t.Fatal(err)
	}
	d.checkAccepted(want)
	if n := len(d.server.Duplicates()); n > 0 {
		t.Errorf("%d events arrived twice", n)
	}
	for _, r := range d.rejects() {
		if r.Reason == "unknown_role" && strings.Contains(r.Detail, "lead") {
			t.Errorf("reject %+v is still open", r)
		}
	}
}

// TestPlanSendsNothing holds a plan to what the run then does.
func TestPlanSendsNothing(t *testing.T) {
	d := newDelivery(t)
	plan, err := ExecutePlan(t.Context(), Execution{Spec: d.spec(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(d.server.Requests()); n > 0 {
		t.Errorf("%d requests", n)
	}
	if left, _ := filepath.Glob(filepath.Join(d.dir, "*.db*")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	summary, err := d.run()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan.New, summary.Sent); diff != "" {
		t.Errorf("planned and sent differ (-planned +sent)\n%s", diff)
	}
	if !plan.Oldest.Equal(summary.Oldest) || !plan.Newest.Equal(summary.Newest) {
		t.Errorf("planned %v to %v, sent %v to %v", plan.Oldest, plan.Newest, summary.Oldest, summary.Newest)
	}
	again, err := ExecutePlan(t.Context(), Execution{Spec: d.spec(), Full: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil || again.Total() != 0 || again.Tally.Events["delivered"] != plan.Total() {
		t.Errorf("a plan after the run: %d to send, %v, %v", again.Total(), again.Tally.Events, err)
	}
}
