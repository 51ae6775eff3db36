package jobs

import (
	"context"
	"database/sql"
	"fmt"
)

// Remembered is how much is remembered of a job.
type Remembered struct {
	Conversations int // in the ledger
	Events        int // delivered, according to the ledger
	Passes        int64
	Rejects       int // open
	Due           int // conversations to be looked at again
}

// Remembered returns how much is remembered of the job.
func (j *JobState) Remembered(ctx context.Context) (Remembered, error) {
	var r Remembered
	at, err := j.Checkpoint(ctx, "")
	if err != nil {
		return r, err
	}
	r.Passes = at.Pass
	err = j.db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(length(entries)), 0) FROM ledger WHERE job_id = $1`, j.id).
		Scan(&r.Conversations, &r.Events)
	if err != nil {
		return r, fmt.Errorf("read the ledger of job %s: %w", j.Name, err)
	}
	r.Events /= entrySize
	due, err := j.Due(ctx)
	if err != nil {
		return r, err
	}
	r.Due = len(due)
	open, err := j.Rejects(ctx, RejectOpen)
	r.Rejects = len(open)
	return r, err
}

// ResetPosition forgets how far the job has read, in all its shards: the next run
// reads everything, and the ledger holds back what was delivered.
func (l *Lease) ResetPosition(ctx context.Context) error {
	if err := l.forgetTables(ctx, "files"); err != nil {
		return err
	}
	return l.amend(ctx, func(at *Checkpoint) {
		*at = Checkpoint{Pass: at.Pass, Done: true, Tally: newCounts(), Destination: at.Destination}
	})
}

// amend changes the checkpoints of all shards.
func (l *Lease) amend(ctx context.Context, change func(at *Checkpoint)) error {
	checkpoints, err := l.job.checkpoints(ctx)
	if err != nil {
		return err
	}
	return l.job.transact(ctx, func(tx *sql.Tx) error {
		if err := l.hold(ctx, tx); err != nil {
			return err
		}
		for shard, at := range checkpoints {
			change(&at)
			if err := l.writeCheckpoint(ctx, tx, shard, &at); err != nil {
				return err
			}
		}
		return nil
	})
}

// hold returns an error if the lease has another owner; otherwise it stays ours
// until the transaction ends.
func (l *Lease) hold(ctx context.Context, tx *sql.Tx) error {
	lost, err := l.lost(ctx, tx)
	if err == nil && lost {
		err = errFenced
	}
	return err
}

// ResetAll forgets the position, the ledger and the rejects of the job: the next
// run delivers everything again, with the same ids.
func (l *Lease) ResetAll(ctx context.Context) error {
	return l.forgetTables(ctx, "checkpoints", "due", "files", "ledger", "rejects")
}

func (l *Lease) forgetTables(ctx context.Context, tables ...string) error {
	return l.job.transact(ctx, func(tx *sql.Tx) error {
		if err := l.hold(ctx, tx); err != nil {
			return err
		}
		for _, table := range tables {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE job_id = $1`, l.job.id); err != nil {
				return fmt.Errorf("forget the %s of job %s: %w", table, l.job.Name, err)
			}
		}
		return nil
	})
}

// Job is the state that the lease is for.
func (l *Lease) Job() *JobState { return l.job }
