package jobs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/chatbackfill/chatbackfill/jobs/examples"
)

// daemon is a Scheduler in a bubble of testing/synctest, where it is 1 January
// 2000, and the time passes while nobody does anything. Its jobs keep their
// state in a real store but do what a function says.
type daemon struct {
	*testing.T
	*Scheduler
	dir  string
	log  *bytes.Buffer
	stop chan struct{}
	done chan struct{}
	err  error // of Run, once done is closed

	mu   sync.Mutex
	runs []time.Time   // when runs began, by the clock
	set  time.Duration // how far the clock was set forward
}

const daemonJob = `
name: chats
schedule: "0 * * * *"
source: {parquet: {messages: {files: [chats.parquet], fields: {conversation_id: c, message_id: m, sent_at: t, role: r}}}}
destination: {file: {path: events.ndjson}}
`

// newDaemon makes a daemon for a job file that exists in a folder.
func newDaemon(t *testing.T, dir string, run func(ctx context.Context, e Execution) error) *daemon {
	t.Helper()
	d := &daemon{T: t, dir: dir, log: &bytes.Buffer{}, stop: make(chan struct{}), done: make(chan struct{})}
	load := func(path string) (*Spec, error) { return LoadSpec(path, os.LookupEnv) }
	var err error
	d.Scheduler, err = NewScheduler([]string{filepath.Join(dir, "job.yaml")}, load, slog.New(slog.NewTextHandler(d.log, nil)), "test")
	if err != nil {
		t.Fatal(err)
	}
	d.now = func() time.Time {
		d.mu.Lock()
		defer d.mu.Unlock()
		return time.Now().Round(0).Add(d.set)
	}
	d.execute = func(ctx context.Context, e Execution) (Summary, error) {
		return Summary{}, withJob(ctx, e.Spec, func(j *JobState) error {
			leased, lease, err := j.Acquire(ctx, "", e.Log)
			if err != nil {
				return err
			}
			_, err = e.attend(leased, lease, func() (Summary, error) {
				now := d.now()
				d.mu.Lock()
				d.runs = append(d.runs, now.UTC())
				d.mu.Unlock()
				return Summary{}, run(leased, e)
			})
			return errors.Join(err, lease.Release(context.WithoutCancel(ctx)))
		})
	}
	return d
}

func (d *daemon) start() *daemon {
	go func() {
		defer close(d.done)
		d.err = d.Scheduler.Run(context.Background(), d.stop)
	}()
	return d
}

// setClock sets the clock forward, or back.
func (d *daemon) setClock(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set += by
}

// end stops the daemon, waits for it, and returns the error of Run.
func (d *daemon) end() error {
	close(d.stop)
	<-d.done
	return d.err
}

func jobFolder(t *testing.T, file string) string {
	t.Helper()
	dir := t.TempDir()
	writeJob(t, dir, file)
	return dir
}

func writeJob(t *testing.T, dir, file string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "job.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
}

// clockTimes returns the times of a day on which something happened.
func clockTimes(times []time.Time) (all []string) {
	for _, t := range times {
		all = append(all, t.Format("15:04:05"))
	}
	return all
}

func (d *daemon) wantRuns(want ...string) {
	d.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if diff := cmp.Diff(want, clockTimes(d.runs)); diff != "" {
		d.Errorf("runs (-want +got)\n%s", diff)
	}
}

func (d *daemon) wantStates(want ...string) {
	d.Helper()
	spec, _ := d.jobs[0].current()
	err := withJob(context.Background(), spec, func(j *JobState) error { wantStates(d.T, j, want...); return nil })
	if err != nil {
		d.Error(err)
	}
}

func succeed(context.Context, Execution) error { return nil }

func TestSchedulerRunsEachSlotOnce(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := jobFolder(t, daemonJob)
	synctest.Test(t, func(t *testing.T) {
		slow := func(context.Context, Execution) error { time.Sleep(25 * time.Second); return nil }
		one, two := newDaemon(t, dir, slow).start(), newDaemon(t, dir, slow).start()
		time.Sleep(3*time.Hour + time.Minute)
		for _, d := range []*daemon{one, two} {
			if err := d.end(); err != nil {
				t.Error(err)
			}
		}
		one.wantStates("00:00 watched", "01:00 done", "02:00 done", "03:00 done")
		one.runs = append(one.runs, two.runs...)
		if len(one.runs) != 3 {
			t.Errorf("%d runs: %v", len(one.runs), one.runs)
		}
	})
}

func TestSchedulerMakesUpForWhatWasMissed(t *testing.T) {
	for name, test := range map[string]struct {
		extra  string
		runs   []string
		states []string
	}{
		"by one run": {"", []string{"04:30:00", "05:00:00"},
			[]string{"00:00 watched", "01:00 done", "02:00 missed", "03:00 missed", "04:00 done", "05:00 done"}},
		"not at all": {"catch_up: false\n", []string{"05:00:00"},
			[]string{"00:00 watched", "01:00 done", "02:00 skipped", "03:00 skipped", "04:00 skipped", "05:00 done"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := jobFolder(t, daemonJob+test.extra)
			synctest.Test(t, func(t *testing.T) {
				first := newDaemon(t, dir, succeed).start()
				time.Sleep(90 * time.Minute)
				if err := first.end(); err != nil {
					t.Error(err)
				}
				time.Sleep(3 * time.Hour)
				second := newDaemon(t, dir, succeed).start()
				time.Sleep(40 * time.Minute)
				if err := second.end(); err != nil {
					t.Error(err)
				}
				second.wantRuns(test.runs...)
				second.wantStates(test.states...)
			})
		})
	}
}

func TestSchedulerTriesAgain(t *testing.T) {
	dir := jobFolder(t, daemonJob)
	synctest.Test(t, func(t *testing.T) {
		failures := 0
		d := newDaemon(t, dir, func(context.Context, Execution) error {
			if failures++; failures <= 3 {
				return &Error{Exit: ExitInterrupted, Err: errors.New("segment is away")}
			}
			if failures == 4 {
				return &Error{Exit: ExitRefused, Err: errors.New("wrong key")}
			}
			return nil
		}).start()
		time.Sleep(2*time.Hour + time.Minute)
		if err := d.end(); err != nil {
			t.Error(err)
		}
		d.wantRuns("01:00:00", "01:00:30", "01:01:30", "01:03:30", "02:00:00")
		d.wantStates("00:00 watched", "01:00 done", "02:00 done")
	})
}

func TestSchedulerGivesUpWhenTheNextSlotComes(t *testing.T) {
	dir := jobFolder(t, daemonJob)
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(t, dir, func(context.Context, Execution) error {
			if time.Now().UTC().Hour() == 1 {
				return errors.New("boom")
			}
			return nil
		}).start()
		time.Sleep(2*time.Hour + time.Minute)
		if err := d.end(); err != nil {
			t.Error(err)
		}
		d.wantRuns("01:00:00", "01:00:30", "01:01:30", "01:03:30", "01:07:30", "01:15:30", "01:31:30", "02:00:00")
		d.wantStates("00:00 watched", "01:00 missed", "02:00 done")
	})
}

// TestSchedulerLongRun runs a job that takes longer than from one slot to the
// next: none runs beside it, and what was left out is recorded and logged.
func TestSchedulerLongRun(t *testing.T) {
	for name, test := range map[string]struct {
		extra  string
		runs   []string
		states []string
		log    string
	}{
		"made up for": {"", []string{"01:00:00", "03:30:00", "06:00:00"},
			[]string{"00:00 watched", "01:00 done", "02:00 missed", "03:00 done", "04:00 missed", "05:00 missed", "06:00 done"},
			"slot=2000-01-01T03:00:00.000Z attempt=1 missed=1 exit=0"},
		"skipped": {"catch_up: false\n", []string{"01:00:00", "04:00:00"},
			[]string{"00:00 watched", "01:00 done", "02:00 skipped", "03:00 skipped", "04:00 done", "05:00 skipped", "06:00 skipped"},
			`msg="missed slots are skipped" job=chats slots=2 last=2000-01-01T03:00:00.000Z`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := jobFolder(t, daemonJob+test.extra)
			synctest.Test(t, func(t *testing.T) {
				d := newDaemon(t, dir, func(context.Context, Execution) error { time.Sleep(150 * time.Minute); return nil }).start()
				time.Sleep(6*time.Hour + 31*time.Minute)
				if err := d.end(); ExitCode(err) != ExitDone {
					t.Error(err)
				}
				d.wantRuns(test.runs...)
				d.wantStates(test.states...)
				if !strings.Contains(d.log.String(), test.log) {
					t.Errorf("the log does not tell\n%s\n%s", test.log, d.log)
				}
			})
		})
	}
}

func TestSchedulerWaitsForAnotherRun(t *testing.T) {
	dir := jobFolder(t, daemonJob)
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(t, dir, succeed).start()
		spec, _ := d.jobs[0].current()
		time.Sleep(59 * time.Minute)
		err := withJob(context.Background(), spec, func(j *JobState) error {
			_, lease, err := j.Acquire(context.Background(), "", quiet)
			if err != nil {
				return err
			}
			time.Sleep(7*time.Minute - time.Second) // the daemon looks every ten seconds
			wantStates(t, j, "00:00 watched", "01:00 waiting")
			if problem := d.problem(); problem != "" {
				t.Errorf("not ready while another run is under way: %s", problem)
			}
			return lease.Release(context.Background())
		})
		if err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if err := d.end(); err != nil {
			t.Error(err)
		}
		d.wantRuns("01:06:00")
		d.wantStates("00:00 watched", "01:00 done")
	})
}

func (d *daemon) problem() string {
	j := d.jobs[0]
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.health.problem(time.Now())
}

func TestSchedulerContainsPanics(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := jobFolder(t, daemonJob)
	synctest.Test(t, func(t *testing.T) {
		panics := 0
		d := newDaemon(t, dir, func(context.Context, Execution) error {
			switch panics++; panics {
			case 1:
				panic("a body: " + canaryBody)
			case 2:
				var none []int
				_ = none[panics]
			}
			return nil
		}).start()
		time.Sleep(61 * time.Minute)
		time.Sleep(time.Minute)
		if err := d.end(); err != nil {
			t.Error(err)
		}
		d.wantRuns("01:00:00", "01:00:30", "01:01:30")
		d.wantStates("00:00 watched", "01:00 done")
		log := d.log.String()
		if !strings.Contains(log, "panic with a string") || !strings.Contains(log, "index out of range") || !strings.Contains(log, "schedule_test.go") {
			t.Errorf("the log does not show the panics:\n%s", log)
		}
		if strings.Contains(log, canaryBody) {
			t.Error("the log shows what was panicked with")
		}
	})
}

func TestSchedulerDrains(t *testing.T) {
	for name, test := range map[string]struct {
		takes time.Duration
		exit  int
		state string
	}{
		"a run that ends in time": {10 * time.Second, ExitDone, "01:00 done"},
		"a run that does not":     {time.Hour, ExitInterrupted, "01:00 waiting"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := jobFolder(t, daemonJob)
			synctest.Test(t, func(t *testing.T) {
				d := newDaemon(t, dir, func(ctx context.Context, e Execution) error {
					<-e.Stop
					select {
					case <-time.After(test.takes):
						return nil
					case <-ctx.Done():
						return ErrInterrupted
					}
				}).start()
				time.Sleep(61 * time.Minute)
				began := time.Now()
				if err := d.end(); ExitCode(err) != test.exit {
					t.Errorf("exit %d, want %d: %v", ExitCode(err), test.exit, err)
				}
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("it took %s", took)
				}
				d.wantStates("00:00 watched", test.state)
				again := newDaemon(t, dir, succeed).start()
				time.Sleep(time.Second)
				if err := again.end(); err != nil {
					t.Error(err)
				}
				again.wantStates("00:00 watched", "01:00 done")
			})
		})
	}
}

func TestSchedulerReload(t *testing.T) {
	dir := jobFolder(t, daemonJob)
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(t, dir, succeed).start()
		time.Sleep(61 * time.Minute)
		for _, bad := range []string{"name: [", strings.Replace(daemonJob, `schedule: "0 * * * *"`, "", 1)} {
			writeJob(t, dir, bad)
			d.Reload()
		}
		time.Sleep(time.Hour)
		writeJob(t, dir, strings.Replace(daemonJob, "0 * * * *", "*/20 * * * *", 1))
		d.Reload()
		time.Sleep(time.Hour)
		if err := d.end(); err != nil {
			t.Error(err)
		}
		d.wantRuns("01:00:00", "02:00:00", "02:20:00", "02:40:00", "03:00:00")
		if n := strings.Count(d.log.String(), "the job goes on as it was"); n != 2 {
			t.Errorf("the log tells of %d bad files, want 2:\n%s", n, d.log)
		}
	})
}

func TestSchedulerStoreAway(t *testing.T) {
	dir := jobFolder(t, daemonJob+"state: sqlite:state/job.db\n")
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(t, dir, succeed).start()
		time.Sleep(10 * time.Minute)
		if problem := d.problem(); problem != "its state store cannot be used" {
			t.Errorf("problem %q", problem)
		}
		if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
			t.Error(err)
		}
		time.Sleep(90 * time.Minute)
		if problem := d.problem(); problem != "" {
			t.Errorf("problem %q", problem)
		}
		if err := d.end(); err != nil {
			t.Error(err)
		}
		d.wantRuns("01:00:00")
	})
}

func TestSchedulerErrTwice(t *testing.T) {
	path := filepath.Join(jobFolder(t, daemonJob), "job.yaml")
	load := func(path string) (*Spec, error) { return LoadSpec(path, os.LookupEnv) }
	if _, err := NewScheduler([]string{path, path}, load, quiet, ""); ExitCode(err) != ExitUsage {
		t.Errorf("the same job twice: %v", err)
	}
}

// TestSchedulerRuns runs a real job, and asks the daemon what it knows.
func TestSchedulerRuns(t *testing.T) {
	dir := jobFolder(t, deliveryJob+"schedule: \"0 * * * *\"\ndestination: {file: {path: events.ndjson}}\n")
	f, err := os.Create(filepath.Join(dir, "chats.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(examples.Write(f, chats, 3, nil), f.Close()); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * 365 * 24 * time.Hour) // the chats are of the years from 2020 on
		d := newDaemon(t, dir, nil)
		d.execute = Execute
		if code, body := get(d.Handler(), "/readyz"); code != http.StatusServiceUnavailable || body != "chats: it was not looked at yet\n" {
			t.Errorf("before: %d %s", code, body)
		}
		d.start()
		synctest.Wait()
		time.Sleep(61 * time.Minute)
		if code, body := get(d.Handler(), "/readyz"); code != http.StatusOK || body != "chats: ready\n" {
			t.Errorf("after: %d %s", code, body)
		}
		if code, body := get(d.Handler(), "/healthz"); code != http.StatusOK || body != "ok\n" {
			t.Errorf("health: %d %s", code, body)
		}
		if _, body := get(d.Handler(), "/metrics"); !strings.Contains(body, `chatbackfill_runs_total{job="chats",label="file",status="0"} 1`) {
			t.Errorf("metrics:\n%s", body)
		}
		if err := d.end(); err != nil {
			t.Error(err)
		}
		d.wantStates("00:00 watched", "01:00 done")
	})
	if len(mustRead(t, dir, "events.ndjson")) == 0 {
		t.Error("nothing was delivered")
	}
}

func mustRead(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func get(h http.Handler, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestHealthProblem(t *testing.T) {
	slotOf := func(state string) *SlotStatus { return &SlotStatus{At: at(9, 0), State: state} }
	nextAt := func(hour, minute int) *time.Time { next := at(hour, minute); return &next }
	for name, test := range map[string]struct {
		health health
		want   string
	}{
		"a slot waits for a short while": {health{status: &JobStatus{Slot: slotOf(slotWaiting)}}, ""},
		"a slot waits for long":          {health{status: &JobStatus{Slot: slotOf(slotWaiting)}}, "it is overdue: its run of 2026-05-06T09:00:00Z is not done"},
		"its run is under way":           {health{status: &JobStatus{Slot: slotOf(slotRunning), State: JobRunning}}, ""},
		"its run was killed":             {health{status: &JobStatus{Slot: slotOf(slotRunning), State: JobKilled}}, "it is overdue: its run of 2026-05-06T09:00:00Z is not done"},
		"it failed for good":             {health{status: &JobStatus{Slot: slotOf(slotDone), failedExit: ExitRejects}}, "its last run failed with exit code 5"},
		"it was skipped":                 {health{status: &JobStatus{Slot: slotOf(slotSkipped)}}, ""},
		"the next slot was not noticed":  {health{status: &JobStatus{Slot: slotOf(slotDone), NextSlot: nextAt(9, 10)}}, "it is overdue: its run of 2026-05-06T09:10:00Z is not done"},
		"the next slot just came":        {health{status: &JobStatus{Slot: slotOf(slotDone), NextSlot: nextAt(9, 28)}}, ""},
		"the next slot is to come":       {health{status: &JobStatus{Slot: slotOf(slotDone), NextSlot: nextAt(10, 0)}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			now := at(9, 30)
			if strings.Contains(name, "short") {
				now = at(9, 4)
			}
			if got := test.health.problem(now); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
