package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// keptSlots is how many slots of a job the store keeps, and how many missed ones
// it records at once.
const keptSlots = 1000

// lastSlot returns the last slot that the store has. Of a job that nobody looked
// after yet it notes that somebody does from now on: slots before are nobody's.
func (j *JobState) lastSlot(ctx context.Context, now time.Time) (slot, error) {
	s, err := j.newestSlot(ctx, j.db, now)
	if !errors.Is(err, sql.ErrNoRows) {
		return s, err
	}
	_, err = j.db.ExecContext(ctx, `INSERT INTO slots (job_id, slot, state) SELECT id, CAST($2 AS bigint), CAST($3 AS text) FROM jobs
		WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM slots WHERE job_id = $1) ON CONFLICT (job_id, slot) DO NOTHING`,
		j.id, now.UnixMilli(), slotWatched)
	if err != nil {
		return slot{}, fmt.Errorf("look after job %s: %w", j.Name, err)
	}
	return j.newestSlot(ctx, j.db, now)
}

// newestSlot returns sql.ErrNoRows if the store has no slot of the job. Slots
// far in the future are left out: they were recorded by a clock that was wrong,
// and would keep the job from running until then.
func (j *JobState) newestSlot(ctx context.Context, in querier, now time.Time) (slot, error) {
	var s slot
	var at, retry, ended int64
	err := in.QueryRowContext(ctx, `SELECT slot, state, attempts, retry_at, exit_code, ended_at, run_id FROM slots
		WHERE job_id = $1 AND slot <= $2 ORDER BY slot DESC LIMIT 1`, j.id, now.Add(24*time.Hour).UnixMilli()).
		Scan(&at, &s.state, &s.attempts, &retry, &s.exit, &ended, &s.runID)
	if err != nil {
		return s, fmt.Errorf("read the slots of job %s: %w", j.Name, err)
	}
	s.at, s.retryAt, s.endedAt = time.UnixMilli(at).UTC(), time.UnixMilli(retry).UTC(), time.UnixMilli(ended).UTC()
	return s, nil
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// skipSlots records slots that are not made up for.
func (j *JobState) skipSlots(ctx context.Context, skip []time.Time) error {
	if len(skip) == 0 {
		return nil
	}
	return j.transact(ctx, func(tx *sql.Tx) error {
		if err := j.addSlots(ctx, tx, skip, slotSkipped); err != nil {
			return err
		}
		// A slot that waited for a lease that was never free in time.
		_, err := tx.ExecContext(ctx, `UPDATE slots SET state = $3 WHERE job_id = $1 AND slot <= $2 AND state = $4 AND attempts = 0`,
			j.id, skip[len(skip)-1].UnixMilli(), slotSkipped, slotWaiting)
		if err != nil {
			return fmt.Errorf("record slots of job %s: %w", j.Name, err)
		}
		return nil
	})
}

// holdSlot records a slot that waits for another run to end.
func (j *JobState) holdSlot(ctx context.Context, at time.Time) error {
	_, err := j.db.ExecContext(ctx, `INSERT INTO slots (job_id, slot, state, exit_code) VALUES ($1, $2, $3, $4) ON CONFLICT (job_id, slot) DO NOTHING`,
		j.id, at.UnixMilli(), slotWaiting, ExitLeaseHeld)
	if err != nil {
		return fmt.Errorf("record a slot of job %s: %w", j.Name, err)
	}
	return nil
}

func (j *JobState) addSlots(ctx context.Context, tx *sql.Tx, slots []time.Time, state string) error {
	for _, at := range slots[max(0, len(slots)-keptSlots):] {
		_, err := tx.ExecContext(ctx, `INSERT INTO slots (job_id, slot, state) VALUES ($1, $2, $3) ON CONFLICT (job_id, slot) DO NOTHING`,
			j.id, at.UnixMilli(), state)
		if err != nil {
			return fmt.Errorf("record slots of job %s: %w", j.Name, err)
		}
	}
	return nil
}

// claim takes a slot for a run that holds the lease. It returns how many
// attempts there were, this one included; 0 if the slot is not to be run: it was
// done meanwhile, or a later one was, or it is to wait.
func (l *Lease) claim(ctx context.Context, at, now time.Time, late []time.Time) (attempts int, err error) {
	err = l.job.transact(ctx, func(tx *sql.Tx) error {
		lost, err := l.lost(ctx, tx)
		if err != nil {
			return err
		}
		if lost {
			return errFenced
		}
		last, err := l.job.newestSlot(ctx, tx, now)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err == nil && !last.free(at, now) {
			return nil
		}
		if last.at.Equal(at) {
			attempts = last.attempts
		}
		attempts++
		return l.begin(ctx, tx, at, attempts, late)
	})
	return attempts, err
}

// free reports whether a slot may be run by whoever holds the lease, s being
// the last that the store has.
func (s *slot) free(at, now time.Time) bool {
	switch {
	case s.at.After(at):
		return false
	case s.at.Before(at) || s.state == slotRunning:
		return true
	}
	return s.state == slotWaiting && s.mayRetry(now)
}

func (l *Lease) begin(ctx context.Context, tx *sql.Tx, at time.Time, attempts int, late []time.Time) error {
	if err := l.job.addSlots(ctx, tx, late, slotMissed); err != nil {
		return err
	}
	for _, do := range []struct {
		statement string
		args      []any
	}{
		{`UPDATE slots SET state = $3 WHERE job_id = $1 AND slot < $2 AND state IN ($4, $5)`,
			[]any{l.job.id, at.UnixMilli(), slotMissed, slotWaiting, slotRunning}},
		{`INSERT INTO slots (job_id, slot, state, epoch, attempts) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (job_id, slot) DO UPDATE SET state = excluded.state, epoch = excluded.epoch, attempts = excluded.attempts`,
			[]any{l.job.id, at.UnixMilli(), slotRunning, l.epoch, attempts}},
		{`DELETE FROM slots WHERE job_id = $1 AND slot < (SELECT slot FROM slots WHERE job_id = $1 ORDER BY slot DESC LIMIT 1 OFFSET $2)`,
			[]any{l.job.id, keptSlots}},
	} {
		if _, err := tx.ExecContext(ctx, do.statement, do.args...); err != nil {
			return fmt.Errorf("claim a slot of job %s: %w", l.job.Name, err)
		}
	}
	return nil
}

// settle records how the run of a slot ended. Of a run that lost the lease
// nothing is recorded: the slot belongs to whoever took it over.
func (l *Lease) settle(ctx context.Context, at time.Time, runID string, exit int, now, retryAt time.Time) error {
	state := slotWaiting
	if settled(exit) {
		state = slotDone
	}
	return l.job.transact(ctx, func(tx *sql.Tx) error {
		if lost, err := l.lost(ctx, tx); err != nil || lost {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE slots SET state = $3, run_id = $4, exit_code = $5, ended_at = $6, retry_at = $7
			WHERE job_id = $1 AND slot = $2`,
			l.job.id, at.UnixMilli(), state, runID, exit, now.UnixMilli(), retryAt.UnixMilli())
		if err != nil {
			return fmt.Errorf("record the end of a slot of job %s: %w", l.job.Name, err)
		}
		return nil
	})
}
