package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Scheduler runs jobs on their schedules.
//
// What decides is the store of each job, not a timer: it has every slot, and
// what became of it. A slot is claimed by a run that holds the job's lease, in
// the transaction that finds it not done yet. So it is run once however many
// daemons there are and however often they are started, and a daemon that was
// away finds what was missed.
//
//	          comes                     exit 0, 2, 3, 4, 5
//	(none) ──────────▶ running ────────────────────────────▶ done
//	   │                 │  ▲
//	   │ another run has │  │ after a while
//	   │ the lease       ▼  │
//	   └────────────▶ waiting ──▶ missed   when the next slot comes, which makes up for it
//	                          └─▶ skipped  the same with catch_up: false
type Scheduler struct {
	load    func(path string) (*Spec, error)
	log     *slog.Logger
	version string
	execute func(context.Context, Execution) (Summary, error)
	now     func() time.Time // the clock, which may be set while the daemon runs

	registry *prometheus.Registry
	jobs     []*scheduledJob
	busy     atomic.Int32 // jobs that are looked at or run
}

// NewScheduler reads the job files. Each must have a schedule and be a job of
// its own. The load function reads one, as [LoadSpec] does.
func NewScheduler(files []string, load func(path string) (*Spec, error), log *slog.Logger, version string) (*Scheduler, error) {
	s := &Scheduler{load: load, log: log, version: version, execute: Execute, now: time.Now, registry: prometheus.NewRegistry()}
	var problems []error
	for _, file := range files {
		j := &scheduledJob{scheduler: s, file: file, wake: make(chan struct{}, 1)}
		if err := j.read(); err != nil {
			problems = append(problems, err)
			continue
		}
		s.jobs = append(s.jobs, j)
	}
	return s, errors.Join(problems...)
}

// Run runs the jobs until stop is closed, and returns once all runs have ended:
// those under way may go on for as long as their job's drain says. It returns an
// [ErrInterrupted] if one had to be interrupted. When ctx ends, runs end at once.
func (s *Scheduler) Run(ctx context.Context, stop <-chan struct{}) error {
	s.announce(s.now())
	var watching sync.WaitGroup
	for _, j := range s.jobs {
		watching.Go(func() { j.watch(ctx, stop) })
	}
	watching.Wait()
	for _, j := range s.jobs {
		if j.interrupted {
			return ErrInterrupted
		}
	}
	return nil
}

// announce logs when the jobs will run.
func (s *Scheduler) announce(now time.Time) {
	for _, j := range s.jobs {
		spec, times := j.current()
		var next []string
		for _, at := range times.upcoming(now, 5) {
			next = append(next, at.In(times.zone).Format(time.RFC3339))
		}
		s.log.Info("scheduled", "job", spec.Name, "schedule", spec.Schedule, "timezone", spec.Timezone, "next", next)
	}
}

// Reload reads all job files again. A job whose file is bad goes on as it was.
// Runs under way are not disturbed.
func (s *Scheduler) Reload() {
	for _, j := range s.jobs {
		if err := extract.Contain(j.read); err != nil {
			s.log.Error("the job goes on as it was: its file cannot be used", "file", j.file, "error", err)
			continue
		}
		s.log.Info("job file read again", "file", j.file)
		select {
		case j.wake <- struct{}{}:
		default:
		}
	}
	s.announce(s.now())
}

// taken reports whether another of the jobs has the same state.
func (s *Scheduler) taken(by *scheduledJob, spec *Spec) error {
	for _, j := range s.jobs {
		if j == by {
			continue
		}
		if other, _ := j.current(); other.Name == spec.Name && other.Label() == spec.Label() {
			return &Error{Exit: ExitUsage, Err: fmt.Errorf("read job file %s: %s is the same job %s into %s", by.file, j.file, spec.Name, spec.Label()),
				Try: "give it another name"}
		}
	}
	return nil
}
