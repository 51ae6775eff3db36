package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
)

// slotRun is the slot that an execution is for.
type slotRun struct {
	at       time.Time
	late     []time.Time // missed slots that it makes up for
	now      func() time.Time
	attempts int // set once it was claimed
}

// attend runs a job under its lease: what do does is done if the slot that it is
// for is still to be run, and a panic in it is a failure like any other.
func (e *Execution) attend(ctx context.Context, lease *Lease, do func() (Summary, error)) (Summary, error) {
	if e.slot == nil {
		return e.contain(ctx, lease, do)
	}
	var err error
	if e.slot.attempts, err = lease.claim(ctx, e.slot.at, e.slot.now(), e.slot.late); err != nil || e.slot.attempts == 0 {
		return Summary{}, err
	}
	summary, err := e.contain(ctx, lease, do)
	now := e.slot.now()
	return summary, errors.Join(err, lease.settle(context.WithoutCancel(ctx), e.slot.at, summary.RunID, ExitCode(err), now, e.retryAt(now)))
}

// retryAt is when the slot may be tried again: at once by the next daemon if
// this one was told to stop.
func (e *Execution) retryAt(now time.Time) time.Time {
	select {
	case <-e.Stop:
		return now
	default:
		return now.Add(slotRetry(e.slot.attempts))
	}
}

// contain turns a panic into an error, and records it as the end of the run.
func (e *Execution) contain(ctx context.Context, lease *Lease, do func() (Summary, error)) (Summary, error) {
	summary, err := contained(do)
	var p *extract.Panic
	if errors.As(err, &p) {
		e.Log.Error("the run panicked", "job", e.Spec.Name, "error", p, "stack", string(p.Stack))
		err = errors.Join(err, lease.endRuns(context.WithoutCancel(ctx), err))
	}
	return summary, err
}

// contained calls do, and makes a panic in it its error.
func contained[T any](do func() (T, error)) (result T, err error) {
	err = extract.Contain(func() (err error) {
		result, err = do()
		return err
	})
	return result, err
}

// endRuns records the end of the runs under this lease that did not do so
// themselves.
func (l *Lease) endRuns(ctx context.Context, failure error) error {
	_, err := l.job.db.ExecContext(ctx, `UPDATE runs SET ended_at = `+l.job.dialect.now+`, exit_code = $4, error = $5
		WHERE job_id = $1 AND shard = $2 AND epoch = $3 AND ended_at = 0`,
		l.job.id, l.shard, l.epoch, ExitCode(failure), storable(failure.Error()))
	if err != nil {
		return fmt.Errorf("record the end of the run of job %s: %w", l.job.Name, err)
	}
	return nil
}
