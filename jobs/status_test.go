package jobs

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

func (d *delivery) status() (s JobStatus) {
	d.Helper()
	d.state(func(j *JobState) {
		var err error
		if s, err = j.Status(d.Context(), d.spec(), time.Now()); err != nil {
			d.Fatal(err)
		}
	})
	return s
}

// statusWithRows returns the status once the runs under way have recorded rows:
// chunks are recorded in their order, however late the first of them ends.
func (d *delivery) statusWithRows() (s JobStatus) {
	d.Helper()
	for s.RowRate == 0 && d.Context().Err() == nil {
		s = d.status()
	}
	return s
}

func (d *delivery) runs() (runs []RunRecord) {
	d.Helper()
	d.state(func(j *JobState) {
		var err error
		if runs, err = j.Runs(d.Context(), 10); err != nil {
			d.Fatal(err)
		}
	})
	return runs
}

func TestStatusOfANewJob(t *testing.T) {
	d := newDelivery(t)
	d.extra = "schedule: \"0 3 * * *\"\ntimezone: Asia/Kolkata\n"
	s := d.status()
	if s.State != JobNew || s.Pass != nil || s.Run != nil || s.Slot != nil || s.LastSuccess != nil {
		t.Errorf("status %+v", s)
	}
	if s.NextSlot == nil || s.NextSlot.Format("15:04") != "21:30" {
		t.Errorf("next slot %v", s.NextSlot)
	}
}

// TestStatusOfARun looks at a job from outside while it runs, after it was
// interrupted, and when it is done.
func TestStatusOfARun(t *testing.T) {
	d := newDelivery(t)
	d.chunk = 200
	seen := make(chan JobStatus, 1)
	var mu sync.Mutex
	requests := 0
	d.server.Fault(func(segmenttest.Request) segmenttest.Answer {
		mu.Lock()
		defer mu.Unlock()
		if requests++; requests == 12 {
			seen <- d.statusWithRows()
			close(d.stop)
		}
		return segmenttest.Answer{}
	})
	if _, err := d.run(); ExitCode(err) != ExitInterrupted {
		t.Fatal(err)
	}
	s := <-seen
	if s.State != JobRunning || len(s.Holders) != 1 || s.Run == nil || s.Run.State != RunRunning || s.Run.Ended != nil {
		t.Errorf("while it runs: %+v", s)
	}
	if s.Pass == nil || s.Pass.Done || s.Pass.Rows == 0 || s.Pass.Events == 0 || s.EventRate <= 0 || s.Percent == nil || *s.Percent <= 0 || *s.Percent >= 100 {
		t.Errorf("while it runs: pass %+v, %v events/s, %v %%", s.Pass, s.EventRate, s.Percent)
	}
	if s := d.status(); s.State != JobInterrupted || len(s.Holders) != 0 || s.LastSuccess != nil || s.Pass.Done {
		t.Errorf("when it was interrupted: %+v", s)
	}
	d.healed()
	if s := d.status(); s.State != JobDone || !s.Pass.Done || s.LastSuccess == nil {
		t.Errorf("when it is done: %+v", s)
	}
	runs := d.runs()
	if len(runs) != 2 || runs[0].State != RunDone || *runs[0].Exit != ExitDone || runs[1].State != RunInterrupted || *runs[1].Exit != ExitInterrupted {
		t.Fatalf("runs %+v", runs)
	}
	sent := 0
	for _, n := range runs[0].Sent {
		sent += n
	}
	if sent == 0 || sent != runs[0].Events || runs[0].SourceRows == 0 || runs[0].Part {
		t.Errorf("run %+v", runs[0])
	}
}

// TestStatusOfShards looks at a job in shards while one of them runs, another
// is done, and the third has not begun.
func TestStatusOfShards(t *testing.T) {
	d := newDelivery(t)
	d.extra, d.chunk = "state: "+postgrestest.New(t), 100
	if _, err := Execute(t.Context(), d.shard(0, 3)); err != nil {
		t.Fatal(err)
	}
	seen := make(chan JobStatus, 1)
	var requests atomic.Int32
	stop := d.stop
	d.server.Fault(func(segmenttest.Request) segmenttest.Answer {
		switch n := requests.Add(1); {
		case n == 8:
			seen <- d.statusWithRows()
			close(stop)
		case n > 8: // the run must not end before it was looked at
			<-stop
		}
		return segmenttest.Answer{}
	})
	if _, err := Execute(t.Context(), d.shard(1, 3)); ExitCode(err) != ExitInterrupted {
		t.Fatal(err)
	}
	now := <-seen
	wantShards(t, &now, JobRunning, JobDone, JobRunning, JobNew)
	if done := now.Shards[0]; !done.Pass.Done || *done.Percent != 100 || done.Holder != nil || done.EventRate != 0 {
		t.Errorf("the shard that is done: %+v", done)
	}
	if s := now.Shards[1]; s.Holder == nil || s.EventRate <= 0 || s.RowRate <= 0 || *s.Percent <= 0 || *s.Percent >= 100 || s.Pass.Position == "" || s.Run.SourceRows == 0 {
		t.Errorf("the shard that runs: %+v, pass %+v", s, s.Pass)
	}
	if now.Pass.Done || now.Pass.Rows != now.Shards[0].Pass.Rows+now.Shards[1].Pass.Rows || *now.Percent < 33 || *now.Percent > 67 {
		t.Errorf("together %+v, %v %%", now.Pass, *now.Percent)
	}
	d.stop = make(chan struct{})
	d.server.Fault(nil)
	after := d.status()
	wantShards(t, &after, JobInterrupted, JobDone, JobInterrupted, JobNew)
	for index := range 3 {
		if _, err := Execute(t.Context(), d.shard(index, 3)); err != nil {
			t.Fatal(err)
		}
	}
	after = d.status()
	wantShards(t, &after, JobDone, JobDone, JobDone, JobDone)
	if !after.Pass.Done || *after.Percent != 100 {
		t.Errorf("when all are done: %+v, %v %%", after.Pass, *after.Percent)
	}
	if _, err := Execute(t.Context(), d.shard(0, 1)); err != nil {
		t.Fatal(err)
	}
	after = d.status()
	wantShards(t, &after, JobDone)
}

func wantShards(t *testing.T, s *JobStatus, job string, shards ...string) {
	t.Helper()
	var got []string
	for i := range s.Shards {
		got = append(got, s.Shards[i].State)
	}
	if s.State != job || !slices.Equal(got, shards) {
		t.Errorf("the job is %s, its shards are %v; want %s, %v", s.State, got, job, shards)
	}
}

func TestStatusOfAPart(t *testing.T) {
	d := newDelivery(t)
	if _, err := Execute(t.Context(), Execution{Spec: d.spec(), Log: quiet, Limit: 10}); err != nil {
		t.Fatal(err)
	}
	if runs := d.runs(); !runs[0].Part {
		t.Errorf("run %+v", runs[0])
	}
	if s := d.status(); s.LastSuccess != nil {
		t.Errorf("a part of the source counts as success of %v", s.LastSuccess)
	}
}

// TestStatusOfAKilledRun: a run that did not say how it ended goes on as long as
// somebody holds the lease it began with.
func TestStatusOfAKilledRun(t *testing.T) {
	d := newDelivery(t)
	err := WithLease(t.Context(), d.spec(), quiet, func(ctx context.Context, l *Lease) error {
		r := &Run{lease: l, id: "KILLEDRUN", Version: "v1"}
		if err := l.job.beginRun(ctx, r); err != nil {
			return err
		}
		if runs := d.runs(); runs[0].State != RunRunning || runs[0].Version != "v1" {
			t.Errorf("while the lease is held: %+v", runs)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if runs := d.runs(); runs[0].State != RunKilled || runs[0].Exit != nil {
		t.Errorf("after that: %+v", runs)
	}
	if s := d.status(); s.State != JobKilled {
		t.Errorf("status %+v", s)
	}
	_, lease := acquire(t, jobOf(t, d))
	if runs := d.runs(); runs[0].State != RunKilled {
		t.Errorf("while another holds the lease: %+v", runs)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

func jobOf(t *testing.T, d *delivery) *JobState {
	t.Helper()
	state, err := d.spec().State.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	j, err := state.Job(t.Context(), "chats", "test")
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestRunsByID(t *testing.T) {
	d := newDelivery(t)
	job := jobOf(t, d)
	_, l := acquire(t, job)
	for _, id := range []string{"ABCDEF", "ABDDEF"} {
		if err := job.beginRun(t.Context(), &Run{lease: l, id: id}); err != nil {
			t.Fatal(err)
		}
	}
	for prefix, want := range map[string]int{"ABCDEF": 1, "ABD": 1, "AB": 2, "": 2, "A%": 0, "B": 0} {
		if found, err := job.RunsByID(t.Context(), prefix); err != nil || len(found) != want {
			t.Errorf("%q: %d runs, want %d: %v", prefix, len(found), want, err)
		}
	}
}

// TestStateOfSlots: what became of a slot shows as the job's state.
func TestStateOfSlots(t *testing.T) {
	d := newDelivery(t)
	job := jobOf(t, d)
	_, l := acquire(t, job)
	now := time.Now().Truncate(time.Minute)
	for i, test := range []struct {
		exit int
		want string
	}{{ExitInterrupted, JobWaiting}, {ExitDiffers, JobFailed}, {ExitDone, JobNew}} {
		slot := now.Add(time.Duration(i) * time.Minute)
		claim(t, l, slot, slot)
		settle(t, l, slot, test.exit, slot, slot.Add(time.Hour))
		expire(t, l)
		s := d.status()
		if s.State != test.want || s.Slot == nil || *s.Slot.Exit != test.exit || !s.Slot.At.Equal(slot) {
			t.Errorf("after exit %d: %s, slot %+v", test.exit, s.State, s.Slot)
		}
	}
}
