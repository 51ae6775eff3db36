package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/chatbackfill/chatbackfill/extract"
)

// RejectFilter selects rejects. The zero RejectFilter selects all.
type RejectFilter struct {
	IDs    []int64
	Reason string
	State  string
}

func (f RejectFilter) matches(r *StoredReject) bool {
	if f.Reason != "" && string(r.Reason) != f.Reason || f.State != "" && r.State != f.State {
		return false
	}
	if len(f.IDs) == 0 {
		return true
	}
	for _, id := range f.IDs {
		if r.ID == id {
			return true
		}
	}
	return false
}

// FindRejects returns the selected rejects in the order in which they were seen
// first.
func (j *JobState) FindRejects(ctx context.Context, f RejectFilter) ([]StoredReject, error) {
	all, err := j.Rejects(ctx, f.State)
	if err != nil {
		return nil, err
	}
	var found []StoredReject
	for i := range all {
		if f.matches(&all[i]) {
			found = append(found, all[i])
		}
	}
	return found, nil
}

// Settle puts the selected open rejects into a state: RejectAccepted says that
// they are all right and lets a run that was halted go on, RejectDropped that
// they are never to be delivered. It returns those it found.
func (l *Lease) Settle(ctx context.Context, f RejectFilter, state string) ([]StoredReject, error) {
	f.State = RejectOpen
	found, err := l.job.FindRejects(ctx, f)
	if err != nil {
		return nil, err
	}
	err = l.job.transact(ctx, func(tx *sql.Tx) error {
		if err := l.hold(ctx, tx); err != nil {
			return err
		}
		for i := range found {
			_, err := tx.ExecContext(ctx, `UPDATE rejects SET state = $2 WHERE id = $1`, found[i].ID, state)
			if err != nil {
				return fmt.Errorf("settle reject %d of job %s: %w", found[i].ID, l.job.Name, err)
			}
		}
		return nil
	})
	if err != nil {
		return found, err
	}
	return found, l.resume(ctx)
}

// closeRetried closes, of rejects that a run has tried again, those that it did
// not record anew; of rows of no conversation only if the run has read them.
func (l *Lease) closeRetried(ctx context.Context, ids map[int64]bool, runID string, strays bool) error {
	return l.job.transact(ctx, func(tx *sql.Tx) error {
		if err := l.hold(ctx, tx); err != nil {
			return err
		}
		for id := range ids {
			_, err := tx.ExecContext(ctx, `UPDATE rejects SET state = $4, payload = ''
				WHERE job_id = $1 AND id = $2 AND state = $3 AND last_run <> $5 AND (length(conversation) > 0 OR $6)`,
				l.job.id, id, RejectOpen, RejectClosed, runID, strays)
			if err != nil {
				return fmt.Errorf("close reject %d of job %s: %w", id, l.job.Name, err)
			}
		}
		return nil
	})
}

// takeBack forgets that events were refused, but for the rejects that were there
// before and tried again, and notes their conversations as due since a time that
// the job's pass has reached: wherever it is, the next run looks at them.
func (l *Lease) takeBack(ctx context.Context, refused []string, since extract.Time, selected *Selection) error {
	open, err := l.job.Rejects(ctx, RejectOpen)
	if err != nil {
		return err
	}
	due := make(map[string]extract.Time)
	return l.job.transact(ctx, func(tx *sql.Tx) error {
		if err := l.hold(ctx, tx); err != nil {
			return err
		}
		for i := range open {
			r := &open[i]
			if r.Stage != extract.StageSend || !slices.Contains(refused, r.Locator) || selected.retries(r.ID) {
				continue
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM rejects WHERE id = $1`, r.ID); err != nil {
				return fmt.Errorf("take back rejects of job %s: %w", l.job.Name, err)
			}
			due[r.ConversationID] = since
		}
		return l.job.writeDue(ctx, tx, due)
	})
}

// resume lets passes that were halted go on.
func (l *Lease) resume(ctx context.Context) error {
	return l.amend(ctx, func(at *Checkpoint) {
		at.Tally.Halted, at.Tally.RejectedRows, at.Tally.RejectedConversations = nil, 0, 0
	})
}

// WithLease opens the state of a job and calls do while holding its lease, and
// no shard of it is under way.
func WithLease(ctx context.Context, spec *Spec, log *slog.Logger, do func(ctx context.Context, l *Lease) error) error {
	state, err := spec.State.Open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(withJobLease(ctx, state, spec, log, do), state.Close())
}

func withJobLease(ctx context.Context, state *State, spec *Spec, log *slog.Logger, do func(ctx context.Context, l *Lease) error) error {
	job, err := state.Job(ctx, spec.Name, spec.Label())
	if err != nil {
		return err
	}
	leased, lease, err := job.acquireIn(ctx, extract.Shard{}, log)
	if err != nil {
		return err
	}
	return errors.Join(do(leased, lease), lease.Release(context.WithoutCancel(ctx)))
}

// WithState opens the state of a job for reading and calls do.
func WithState(ctx context.Context, spec *Spec, do func(j *JobState) error) error {
	state, err := spec.State.OpenExisting(ctx)
	if err != nil {
		return err
	}
	job, err := state.FindJob(ctx, spec.Name, spec.Label())
	if err == nil {
		err = do(job)
	}
	return errors.Join(err, state.Close())
}

// Changes returns how the settings of the job file that the lease was taken for
// differ from those the job ran with.
func (l *Lease) Changes(ctx context.Context, spec *Spec) ([]SettingChange, error) {
	return l.job.SettingChanges(ctx, spec)
}
