package jobs

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
)

// panicking breaks what an Observer promises.
type panicking struct {
	unobserved
	sending, batch, advance bool
}

func (p panicking) Sending()           { panicIf(p.sending) }
func (p panicking) Batch(load.Attempt) { panicIf(p.batch) }
func (p panicking) Advance(Summary)    { panicIf(p.advance) }

func panicIf(yes bool) {
	if yes {
		panic(canaryBody)
	}
}

// wantPanic checks that an error is a contained panic, which says nothing of
// what was panicked with.
func wantPanic(t *testing.T, err error) {
	t.Helper()
	var p *extract.Panic
	if !errors.As(err, &p) || ExitCode(err) != ExitUnexpected || !strings.HasPrefix(err.Error(), "panic with a string") {
		t.Errorf("error %v", err)
	}
}

// TestPanicsOfARun: a panic where pages are read, batches are sent or chunks are
// recorded is the run's error, and the next run delivers what is left.
func TestPanicsOfARun(t *testing.T) {
	want := wantEvents(t)
	for name, e := range map[string]Execution{
		"in the pass":         {Progress: func(Progress) { panic(canaryBody) }},
		"before a batch":      {Observer: panicking{sending: true}},
		"after a batch":       {Observer: panicking{batch: true}},
		"recording the chunk": {Observer: panicking{advance: true}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDelivery(t)
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			e.Spec, e.Log, e.chunkEvents = d.spec(), slog.New(slog.NewTextHandler(&d.log, nil)), d.chunk
			_, err := Execute(t.Context(), e)
			wantPanic(t, err)
			d.checkSecrets(err)
			if runs := d.runs(); runs[0].State != RunFailed || !strings.HasPrefix(runs[0].Error, "panic with a string") {
				t.Errorf("runs %+v", runs)
			}
			if !strings.Contains(d.log.String(), "panic_test.go") {
				t.Errorf("the log does not show where:\n%s", d.log.String())
			}
			d.healed()
			d.checkAccepted(want)
		})
	}
}

func TestPanicsOfASource(t *testing.T) {
	pages := 0
	for page := range readAhead(t.Context(), panickingPages{}) {
		pages++
		wantPanic(t, page.err)
	}
	if pages != 1 {
		t.Errorf("%d pages", pages)
	}
}

type panickingPages struct{ Pages }

func (panickingPages) Next(context.Context) (extract.Page, error) { panic(canaryBody) }

// TestPanicOfTheLease: whatever keeps a lease from being renewed ends the run.
func TestPanicOfTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Lease{job: &JobState{State: &State{}}, log: quiet, stopped: make(chan struct{})}
		l.leased, l.cancel = context.WithCancelCause(t.Context())
		go l.keep(l.leased)
		<-l.leased.Done()
		<-l.stopped
		var p *extract.Panic
		if err := context.Cause(l.leased); !errors.As(err, &p) || !strings.HasPrefix(err.Error(), "panic: runtime error: invalid memory address") {
			t.Errorf("the run ends because of %v", err)
		}
	})
}

// TestSchedulerContainsPanicsOfRuns runs a real job whose first run panics in a
// goroutine of its own: metrics, alerts and readiness show it, and the slot is
// run again.
func TestSchedulerContainsPanicsOfRuns(t *testing.T) {
	hook := newHook(t)
	d := newDelivery(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	// Into a file: the clock of a Segment outside of the bubble is another one.
	writeJob(t, d.dir, deliveryJob+"schedule: \"0 * * * *\"\nalerts: {on_failure: \""+hook.URL+"\", on_recovery: \""+hook.URL+"\"}\n"+
		"destination: {file: {path: events.ndjson}}\n")
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * 365 * 24 * time.Hour) // the chats are of the years from 2020 on
		daemon := newDaemon(t, d.dir, nil)
		runs := 0
		daemon.execute = func(ctx context.Context, e Execution) (Summary, error) {
			if runs++; runs == 1 {
				e.Observer = observers{e.Observer, panicking{advance: true}}
			}
			return Execute(ctx, e)
		}
		daemon.start()
		time.Sleep(time.Hour + 10*time.Second)
		synctest.Wait()
		if _, body := get(daemon.Handler(), "/metrics"); !strings.Contains(body, `chatbackfill_runs_total{job="chats",label="file",status="1"} 1`) {
			t.Errorf("metrics:\n%s", body)
		}
		if told := hook.told(); !slices.Equal(told, []string{"failure firing"}) {
			t.Errorf("told %q", told)
		}
		time.Sleep(time.Minute)
		if code, body := get(daemon.Handler(), "/readyz"); code != http.StatusOK {
			t.Errorf("%d %s", code, body)
		}
		if told := hook.told(); !slices.Equal(told, []string{"failure resolved"}) {
			t.Errorf("told %q", told)
		}
		if err := daemon.end(); err != nil {
			t.Error(err)
		}
		daemon.wantStates("00:00 watched", "01:00 done")
		if strings.Contains(daemon.log.String(), canaryBody) {
			t.Error("the log shows what was panicked with")
		}
	})
}

// observers tells the first what happens, then the second.
type observers struct {
	Observer
	second Observer
}

func (o observers) Advance(s Summary) { o.Observer.Advance(s); o.second.Advance(s) }

// TestSchedulerContainsPanicsOfItsOwn: one job that cannot be looked after, or
// not be read, does not take the daemon with it.
func TestSchedulerContainsPanicsOfItsOwn(t *testing.T) {
	dir := jobFolder(t, daemonJob)
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(t, dir, succeed).start()
		job := d.jobs[0]
		good, read := job.times, d.load
		use := func(times *timetable) {
			job.mu.Lock()
			defer job.mu.Unlock()
			job.times = times
		}
		time.Sleep(time.Minute)
		use(nil) // whatever is asked of it panics
		job.wake <- struct{}{}
		time.Sleep(time.Second)
		if problem := d.problem(); problem != "looking after it panicked" {
			t.Errorf("problem %q", problem)
		}
		use(good)
		d.load = func(string) (*Spec, error) { panic(canaryBody) }
		d.Reload()
		d.load = read
		time.Sleep(time.Hour)
		if problem := d.problem(); problem != "" {
			t.Errorf("problem %q", problem)
		}
		if err := d.end(); err != nil {
			t.Error(err)
		}
		d.wantRuns("01:00:00")
		if log := d.log.String(); !strings.Contains(log, "the job goes on as it was") || strings.Contains(log, canaryBody) {
			t.Errorf("log:\n%s", log)
		}
	})
}
