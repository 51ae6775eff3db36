package jobs

import (
	"context"
	"database/sql"
	"fmt"
)

// revise records that events are sent again under the ids of the run's revision.
func (r *Run) revise(ctx context.Context) error {
	if r.Revision == 0 {
		return nil
	}
	used, err := r.Job.revisions(ctx)
	if err != nil {
		return err
	}
	for _, revision := range used {
		if revision == r.Revision {
			r.Log.Warn("the revision was used before: what it sent has the ids that it has now", "job", r.Job.Name, "revision", revision)
			return nil
		}
	}
	return r.Job.transact(ctx, func(tx *sql.Tx) error {
		if err := r.lease.hold(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO revisions (job_id, revision, run_id, used_at) VALUES ($1, $2, $3, `+r.Job.dialect.now+`)`,
			r.Job.id, r.Revision, r.id)
		if err != nil {
			return fmt.Errorf("record revision %d of job %s: %w", r.Revision, r.Job.Name, err)
		}
		return nil
	})
}

// revisions returns the revisions under which events were sent again.
func (j *JobState) revisions(ctx context.Context) ([]int, error) {
	all, err := queryColumn[int](ctx, j.State, `SELECT revision FROM revisions WHERE job_id = $1 ORDER BY revision`, j.id)
	if err != nil {
		return nil, fmt.Errorf("read the revisions of job %s: %w", j.Name, err)
	}
	return all, nil
}
