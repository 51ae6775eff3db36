package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// The states of a job.
const (
	JobNew         = "new"         // it never ran
	JobRunning     = "running"     // somebody holds its lease
	JobWaiting     = "waiting"     // its slot is to be run, or to be run again
	JobDone        = "done"        // its last run succeeded
	JobInterrupted = "interrupted" // its last run ended early, the next continues it
	JobKilled      = "killed"      // the same, and nobody knows why
	JobFailed      = "failed"      // its last run failed
)

// JobStatus is what ran, runs, waits and comes next of a job, as the state store
// has it: whichever machine runs it.
type JobStatus struct {
	Job         string        `json:"job"`
	Label       string        `json:"label"`
	State       string        `json:"state"` // one of the Job constants
	Holders     []LeaseOwner  `json:"holders"`
	Shards      []ShardStatus `json:"shards,omitempty"`  // of a job that is divided, of the division at work last
	Pass        *PassStatus   `json:"pass"`              // of all shards together; null: there was none
	Run         *RunRecord    `json:"run"`               // under way or the last; null: there was none
	EventRate   float64       `json:"events_per_second"` // of the runs under way
	RowRate     float64       `json:"rows_per_second"`
	Percent     *float64      `json:"percent"`      // of the source's rows that the pass is through with; null: unknown, or it reads only what changed
	LastSuccess *time.Time    `json:"last_success"` // end of the last run that read the source to its end and succeeded
	Due         int           `json:"due"`          // conversations to be looked at again
	NextDue     *time.Time    `json:"next_due"`
	OpenRejects int           `json:"open_rejects"`
	Slot        *SlotStatus   `json:"slot"`      // the last; null: there was none
	NextSlot    *time.Time    `json:"next_slot"` // null: the job has no schedule

	failedExit int // of the last attempt at a slot, if no run succeeded since; else 0
}

// LeaseOwner is a process that runs a job.
type LeaseOwner struct {
	Shard string    `json:"shard,omitempty"`
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// PassStatus is how far the current or last pass is, over all shards.
type PassStatus struct {
	Number        int64     `json:"number"`
	Done          bool      `json:"done"`
	Halted        bool      `json:"halted"`   // too much was rejected
	Position      string    `json:"position"` // where the source is read next, in words of its own; empty: several shards have theirs
	Upper         time.Time `json:"upper"`    // the pass looks at rows before
	Updated       time.Time `json:"updated"`  // of its last checkpoint
	Rows          int       `json:"rows"`
	Conversations int       `json:"conversations"`
	Events        int       `json:"events"`   // accepted
	Rejected      int       `json:"rejected"` // rows and events

	partial bool // it looks only at what changed
}

// SlotStatus is a scheduled time and what became of it.
type SlotStatus struct {
	At       time.Time  `json:"at"`
	State    string     `json:"state"` // waiting, running, done, missed or skipped
	Attempts int        `json:"attempts"`
	Exit     *int       `json:"exit_code"` // of the last attempt; null: none ended
	RetryAt  *time.Time `json:"retry_at"`  // waiting: not to be run before
	RunID    string     `json:"run_id"`
}

// Status returns the status of a job at a time.
func (j *JobState) Status(ctx context.Context, spec *Spec, now time.Time) (JobStatus, error) {
	s := JobStatus{Job: j.Name, Label: j.Label, Holders: []LeaseOwner{}}
	for _, read := range []func(context.Context, *JobStatus) error{j.readHolders, j.readShards, j.readSuccess, j.readLeft} {
		if err := read(ctx, &s); err != nil {
			return s, fmt.Errorf("read the status of job %s: %w", j.Name, err)
		}
	}
	if err := j.readSlots(ctx, &s, now); err != nil {
		return s, fmt.Errorf("read the status of job %s: %w", j.Name, err)
	}
	if spec.Schedule != "" {
		times, err := newTimetable(spec.Schedule, spec.Timezone)
		if err != nil {
			return s, err
		}
		next := times.next(now)
		s.NextSlot = &next
	}
	s.State = s.state()
	return s, nil
}

func (j *JobState) readHolders(ctx context.Context, s *JobStatus) error {
	me, err := thisProcess()
	if err != nil {
		return err
	}
	rows, err := j.db.QueryContext(ctx, `SELECT shard, host, pid, taken_at, owner FROM leases
		WHERE job_id = $1 AND expires_at > `+j.dialect.now+` ORDER BY shard`, j.id)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var h LeaseOwner
		var taken int64
		var owner string
		if err := rows.Scan(&h.Shard, &h.Host, &h.PID, &taken, &owner); err != nil {
			return err
		}
		h.Since = time.UnixMilli(taken).UTC()
		if !me.knowsGone(owner) {
			s.Holders = append(s.Holders, h)
		}
	}
	return rows.Err()
}

// readSuccess reads when the job succeeded last.
func (j *JobState) readSuccess(ctx context.Context, s *JobStatus) error {
	var success sql.NullInt64
	err := j.db.QueryRowContext(ctx, `SELECT max(ended_at) FROM runs WHERE job_id = $1 AND ended_at > 0 AND exit_code = 0 AND part = $2`, j.id, false).Scan(&success)
	if success.Valid {
		at := time.UnixMilli(success.Int64).UTC()
		s.LastSuccess = &at
	}
	return err
}

// readLeft reads what is left to do: due notes and rejects.
func (j *JobState) readLeft(ctx context.Context, s *JobStatus) error {
	var next sql.NullInt64
	err := j.db.QueryRowContext(ctx, `SELECT count(*), min(due_at) FROM due WHERE job_id = $1`, j.id).Scan(&s.Due, &next)
	if err != nil {
		return err
	}
	if next.Valid {
		at := time.Unix(0, next.Int64).UTC()
		s.NextDue = &at
	}
	return j.db.QueryRowContext(ctx, `SELECT count(*) FROM rejects WHERE job_id = $1 AND state = $2`, j.id, RejectOpen).Scan(&s.OpenRejects)
}

func (j *JobState) readSlots(ctx context.Context, s *JobStatus, now time.Time) error {
	last, err := j.newestSlot(ctx, j.db, now)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if last.state != slotWatched {
		s.Slot = last.status()
	}
	var exit int
	var ended int64
	err = j.db.QueryRowContext(ctx, `SELECT exit_code, ended_at FROM slots WHERE job_id = $1 AND ended_at > 0 ORDER BY slot DESC LIMIT 1`, j.id).Scan(&exit, &ended)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if s.LastSuccess == nil || s.LastSuccess.UnixMilli() < ended {
		s.failedExit = exit
	}
	return err
}

func (s *slot) status() *SlotStatus {
	status := &SlotStatus{At: s.at, State: s.state, Attempts: s.attempts, RunID: s.runID}
	if s.exit >= 0 {
		status.Exit = &s.exit
	}
	if s.state == slotWaiting && s.attempts > 0 {
		status.RetryAt = &s.retryAt
	}
	return status
}

func (s *JobStatus) state() string {
	switch {
	case len(s.Holders) > 0:
		return JobRunning
	case s.Slot != nil && s.Slot.State == slotWaiting:
		return JobWaiting
	case s.failedExit != ExitDone && s.failedExit != ExitInterrupted && s.failedExit != ExitTakenOver:
		return JobFailed
	}
	return s.ended()
}
