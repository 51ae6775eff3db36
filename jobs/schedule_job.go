package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatbackfill/chatbackfill/extract"
)

// How often a daemon looks at a job at least, how often at the clock, so that it
// notices one that was set and a machine that slept, and how often at the job
// while another run has its lease.
const (
	lookEvery  = 5 * time.Minute
	clockEvery = time.Minute
	heldEvery  = 10 * time.Second
)

// scheduledJob is a job that a daemon looks after.
type scheduledJob struct {
	scheduler *Scheduler
	file      string
	wake      chan struct{} // has a value when the job is to be looked at now

	mu      sync.Mutex
	spec    *Spec
	times   *timetable
	metrics *RunMetrics
	labels  prometheus.Labels // that metrics is registered with
	health  health

	failures    int  // in a row, of which the store does not know; only watch uses it
	storeDown   bool // somebody was told; only watch uses it
	interrupted bool // a run was; to be read when watch has returned
}

// read reads the job file. After an error the job is as it was.
func (j *scheduledJob) read() error {
	spec, err := j.scheduler.load(j.file)
	if err != nil {
		return err
	}
	if spec.Schedule == "" {
		return &Error{Exit: ExitUsage, Err: fmt.Errorf("read job file %s: it has no schedule", j.file), Try: `schedule: "15 * * * *"`}
	}
	times, err := newTimetable(spec.Schedule, spec.Timezone)
	if err != nil {
		return &Error{Exit: ExitUsage, Err: err}
	}
	if err := j.scheduler.taken(j, spec); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.spec, j.times = spec, times
	return j.register()
}

// register makes the metrics of the job known. A job with another name or label
// has metrics of its own. The lock is held.
func (j *scheduledJob) register() error {
	if j.metrics != nil && j.labels["job"] == j.spec.Name && j.labels["label"] == j.spec.Label() {
		return nil
	}
	registry := j.scheduler.registry
	if j.metrics != nil {
		prometheus.WrapRegistererWith(j.labels, registry).Unregister(j.metrics)
	}
	j.metrics, j.labels = NewRunMetrics(), prometheus.Labels{"job": j.spec.Name, "label": j.spec.Label()}
	return prometheus.WrapRegistererWith(j.labels, registry).Register(j.metrics)
}

func (j *scheduledJob) current() (*Spec, *timetable) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.spec, j.times
}

func (j *scheduledJob) observer() *RunMetrics {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.metrics
}

// watch runs the job whenever a slot comes, until stop is closed.
func (j *scheduledJob) watch(ctx context.Context, stop <-chan struct{}) {
	for !isClosed(stop) && ctx.Err() == nil {
		j.scheduler.busy.Add(1)
		wait, err := contained(func() (time.Duration, error) { return j.turn(ctx, stop), nil })
		if err != nil {
			wait = j.panicked(err)
		}
		if busy := j.scheduler.busy.Add(-1); busy == 0 && wait > 0 {
			j.scheduler.rest()
		}
		j.sleep(ctx, stop, min(wait, lookEvery))
	}
}

// panicked notes that the job cannot be looked after, and returns when to try
// again.
func (j *scheduledJob) panicked(err error) time.Duration {
	spec, _ := j.current()
	wait := j.troubled(err)
	var p *extract.Panic
	if errors.As(err, &p) {
		j.scheduler.log.Error("looking after the job panicked", "job", spec.Name, "error", err, "stack", string(p.Stack), "again_in", wait)
	}
	return wait
}

// sleep returns when so much time has passed, by the clock or in fact, or when
// there is a reason to look at the job at once.
func (j *scheduledJob) sleep(ctx context.Context, stop <-chan struct{}, d time.Duration) {
	began := time.Now()
	until := j.scheduler.now().Round(0).Add(d) // by the clock
	for time.Since(began) < d && j.scheduler.now().Round(0).Before(until) {
		timer := time.NewTimer(min(d-time.Since(began), clockEvery))
		select {
		case <-timer.C:
			continue
		case <-j.wake:
		case <-stop:
		case <-ctx.Done():
		}
		timer.Stop()
		return
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// turn does what is to be done now, and returns when to look again.
func (j *scheduledJob) turn(ctx context.Context, stop <-chan struct{}) time.Duration {
	spec, times := j.current()
	now := j.scheduler.now()
	d, err := j.decide(ctx, spec, times, now)
	if err != nil {
		return j.fail(ctx, spec, err)
	}
	j.recover(ctx, spec)
	if d.run.IsZero() || isClosed(stop) {
		return d.waiting(now)
	}
	return j.run(ctx, stop, spec, d)
}

// waiting returns how long there is nothing to do.
func (d *decision) waiting(now time.Time) time.Duration {
	if d.wait.IsZero() {
		return lookEvery
	}
	return d.wait.Sub(now)
}

// decide looks at the store, and records there what is not to be run.
func (j *scheduledJob) decide(ctx context.Context, spec *Spec, times *timetable, now time.Time) (d decision, err error) {
	state, err := spec.State.Open(ctx)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	job, err := state.Job(ctx, spec.Name, spec.Label())
	if err != nil {
		return d, err
	}
	last, err := job.lastSlot(ctx, now)
	if err != nil {
		return d, err
	}
	d = times.decide(last, now, spec.CatchUp)
	if len(d.skip) > 0 {
		j.scheduler.log.Warn("missed slots are skipped", "job", spec.Name, "slots", len(d.skip), "last", d.skip[len(d.skip)-1])
	}
	if err := job.skipSlots(ctx, d.skip); err != nil {
		return d, err
	}
	return d, j.look(ctx, job, spec, now)
}

// look keeps what the store has of the job for metrics and readiness.
func (j *scheduledJob) look(ctx context.Context, job *JobState, spec *Spec, now time.Time) error {
	status, err := job.Status(ctx, spec, now)
	if err != nil {
		return err
	}
	j.observer().refresh(&status)
	j.set(func(h *health) { h.status = &status })
	return nil
}

// run runs a slot, and returns when to look again.
func (j *scheduledJob) run(ctx context.Context, stop <-chan struct{}, spec *Spec, d decision) time.Duration {
	log := j.scheduler.log.With("job", spec.Name)
	slot := &slotRun{at: d.run, late: d.late, now: j.scheduler.now}
	running, end := drained(ctx, stop, spec.Drain)
	summary, err := j.execute(running, Execution{
		Spec: spec, Stop: stop, Log: log, Version: j.scheduler.version, Observer: j.observer(), slot: slot,
	})
	end()
	switch {
	case ExitCode(err) == ExitLeaseHeld:
		return j.hold(ctx, spec, d.run, err)
	case err == nil && slot.attempts == 0:
		return 0 // somebody else ran it
	}
	j.interrupted = isClosed(stop) && ExitCode(err) == ExitInterrupted
	report(log, slot, summary, err)
	if err := SendAlerts(ctx, log, spec, summary, err); err != nil {
		log.Error("cannot send alerts", "error", err)
	}
	if err != nil && slot.attempts == 0 {
		return j.fail(ctx, spec, err)
	}
	return 0
}

// execute executes a run. A panic is its failure, not the daemon's.
func (j *scheduledJob) execute(ctx context.Context, e Execution) (Summary, error) {
	j.set(func(h *health) { h.running = true })
	summary, err := contained(func() (Summary, error) { return j.scheduler.execute(ctx, e) })
	j.set(func(h *health) { h.running, h.held = false, h.held && ExitCode(err) == ExitLeaseHeld })
	return summary, err
}

// set changes what is known of the job.
func (j *scheduledJob) set(change func(*health)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(&j.health)
}

// drained returns a context that ends when stop has been closed for so long.
func drained(ctx context.Context, stop <-chan struct{}, drain time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-stop:
		case <-ctx.Done():
			return
		}
		timer := time.NewTimer(drain)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { cancel(); waiting.Wait() }
}

// hold notes that a slot waits for another run to end.
func (j *scheduledJob) hold(ctx context.Context, spec *Spec, at time.Time, held error) time.Duration {
	first := false
	j.set(func(h *health) { first, h.held = !h.held, true })
	if first {
		j.scheduler.log.Info("the slot waits", "job", spec.Name, "slot", at, "why", held.Error())
	}
	err := withJob(ctx, spec, func(job *JobState) error { return job.holdSlot(ctx, at) })
	if err != nil {
		return j.fail(ctx, spec, err)
	}
	return heldEvery
}

// withJob opens the state of a job and calls do.
func withJob(ctx context.Context, spec *Spec, do func(*JobState) error) error {
	state, err := spec.State.Open(ctx)
	if err != nil {
		return err
	}
	job, err := state.Job(ctx, spec.Name, spec.Label())
	if err == nil {
		err = do(job)
	}
	return errors.Join(err, state.Close())
}

// report logs how the run of a slot ended.
func report(log *slog.Logger, slot *slotRun, s Summary, err error) {
	events := 0
	for _, n := range s.Sent {
		events += n
	}
	log = log.With("slot", slot.at, "attempt", slot.attempts, "missed", len(slot.late), "exit", ExitCode(err),
		"rows", s.Tally.RowCount(), "events", events, "took", s.Took.Round(time.Millisecond))
	switch {
	case err == nil:
		log.Info("done")
	case settled(ExitCode(err)):
		log.Error("failed", "error", err)
	default:
		log.Warn("not done, it is tried again", "error", err)
	}
}

// fail notes that a slot could not even be claimed, or the store not be read,
// and returns when to try again.
func (j *scheduledJob) fail(ctx context.Context, spec *Spec, failure error) time.Duration {
	if ctx.Err() != nil {
		return lookEvery
	}
	wait := j.troubled(failure)
	j.scheduler.log.Error("cannot look after the job", "job", spec.Name, "error", failure, "again_in", wait)
	if !j.storeDown {
		// Without a store nobody else knows either whether this was told.
		j.storeDown = j.tellStore(ctx, spec, failure)
	}
	return wait
}

// troubled keeps why the job cannot be looked after, and returns how long to
// wait.
func (j *scheduledJob) troubled(failure error) time.Duration {
	j.failures++
	j.set(func(h *health) { h.trouble = failure })
	return slotRetry(j.failures)
}

// recover notes that the store can be read.
func (j *scheduledJob) recover(ctx context.Context, spec *Spec) {
	j.failures = 0
	j.set(func(h *health) { h.trouble = nil })
	if j.storeDown {
		j.storeDown = !j.tellStore(ctx, spec, nil)
	}
}

// tellStore sends the alert that the state store cannot be used, or can be
// again, and reports whether that worked.
func (j *scheduledJob) tellStore(ctx context.Context, spec *Spec, failure error) bool {
	alert := alertOf(spec, Summary{}, failure)
	alert.Kind, alert.Status, alert.Since = AlertFailure, AlertFiring, alert.Time
	if failure == nil {
		alert.Status = AlertResolved
	}
	alert.Text = alert.text()
	url := spec.Alerts.url(AlertFailure, failure != nil)
	if url.IsZero() {
		return true
	}
	if err := postAlert(ctx, url, alert); err != nil {
		j.scheduler.log.Error("cannot send alerts", "job", spec.Name, "error", err)
		return false
	}
	return true
}
