package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/chatbackfill/chatbackfill/transform"
)

// The states of a run.
const (
	RunRunning     = "running"
	RunKilled      = "killed" // its process ended without saying how
	RunDone        = "done"
	RunInterrupted = "interrupted" // the next run continues it
	RunFailed      = "failed"
)

// RunRecord is a run as the state store has it.
type RunRecord struct {
	ID            string         `json:"id"`
	State         string         `json:"state"` // one of the Run constants
	Shard         string         `json:"shard,omitempty"`
	Host          string         `json:"host"`
	PID           int            `json:"pid"`
	Version       string         `json:"version"`
	Started       time.Time      `json:"started"`
	Ended         *time.Time     `json:"ended"`       // null: it has not, or was killed
	Exit          *int           `json:"exit_code"`   // null as well
	Error         string         `json:"error"`       // empty: none
	Part          bool           `json:"part"`        // it was to deliver a part of the source only
	Rows          int            `json:"rows"`        // whose outcome is recorded
	SourceRows    int            `json:"source_rows"` // of them all, of its shard; 0: the source cannot tell
	Conversations int            `json:"conversations"`
	Events        int            `json:"events"`   // accepted
	Sent          map[string]int `json:"sent"`     // the same by name
	Rejected      map[string]int `json:"rejected"` // rows and events by reason
	RowOutcomes   map[string]int `json:"row_outcomes"`
	EventOutcomes map[string]int `json:"event_outcomes"`

	epoch int64
}

const selectRuns = `SELECT r.id, r.shard, r.epoch, r.host, r.pid, r.version, r.started_at, r.ended_at, r.exit_code, r.error, r.tally, r.source_rows, r.sent, r.part,
	COALESCE(l.epoch, 0), COALESCE(l.owner, ''), COALESCE(l.expires_at, 0)
	FROM runs r LEFT JOIN leases l ON l.job_id = r.job_id AND l.shard = r.shard WHERE r.job_id = $1 `

// Runs returns the last runs of a job, newest first, at most so many.
func (j *JobState) Runs(ctx context.Context, limit int) ([]RunRecord, error) {
	return j.runs(ctx, `ORDER BY r.started_at DESC, r.epoch DESC LIMIT $2`, limit)
}

// RunsByID returns the runs whose ids begin with a text, newest first.
func (j *JobState) RunsByID(ctx context.Context, prefix string) ([]RunRecord, error) {
	return j.runs(ctx, `AND substr(r.id, 1, length(CAST($2 AS text))) = $2 ORDER BY r.started_at DESC, r.epoch DESC`, prefix)
}

func (j *JobState) runs(ctx context.Context, which string, args ...any) ([]RunRecord, error) {
	now, err := j.clock(ctx)
	if err != nil {
		return nil, err
	}
	me, err := thisProcess()
	if err != nil {
		return nil, err
	}
	rows, err := j.db.QueryContext(ctx, selectRuns+which, append([]any{j.id}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("read runs of job %s: %w", j.Name, err)
	}
	defer rows.Close()
	var all []RunRecord
	for rows.Next() {
		r, err := scanRun(rows, now, me)
		if err != nil {
			return nil, fmt.Errorf("read runs of job %s: %w", j.Name, err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// clock returns the time on the store's clock.
func (j *JobState) clock(ctx context.Context) (time.Time, error) {
	var now int64
	if err := j.db.QueryRowContext(ctx, `SELECT `+j.dialect.now).Scan(&now); err != nil {
		return time.Time{}, fmt.Errorf("read the clock of the state store: %w", err)
	}
	return time.UnixMilli(now).UTC(), nil
}

func scanRun(rows *sql.Rows, now time.Time, me process) (RunRecord, error) {
	var r RunRecord
	var started, ended, epoch, expires int64
	var exit int
	var tally, sent, owner string
	err := rows.Scan(&r.ID, &r.Shard, &r.epoch, &r.Host, &r.PID, &r.Version, &started, &ended, &exit, &r.Error, &tally, &r.SourceRows, &sent, &r.Part,
		&epoch, &owner, &expires)
	if err != nil {
		return r, err
	}
	r.Started = time.UnixMilli(started).UTC()
	if ended != 0 {
		end := time.UnixMilli(ended).UTC()
		r.Ended, r.Exit = &end, &exit
	}
	leased := epoch == r.epoch && expires > now.UnixMilli() && !me.knowsGone(owner)
	r.State = stateOfRun(r.Exit, leased)
	if err := json.Unmarshal([]byte(sent), &r.Sent); err != nil {
		return r, err
	}
	return r, r.add(tally)
}

// stateOfRun returns the state of a run that ended with a code, or with none.
// Without one it goes on if it has the lease.
func stateOfRun(exit *int, leased bool) string {
	switch {
	case exit == nil && leased:
		return RunRunning
	case exit == nil:
		return RunKilled
	case *exit == ExitDone:
		return RunDone
	case *exit == ExitInterrupted || *exit == ExitTakenOver:
		return RunInterrupted
	}
	return RunFailed
}

// add adds the counts of a tally.
func (r *RunRecord) add(encoded string) error {
	tally := transform.NewTally()
	if err := json.Unmarshal([]byte(encoded), &tally); err != nil {
		return err
	}
	r.Rows, r.Conversations, r.Events = tally.RowCount(), tally.Conversations, tally.Events[transform.Accepted]
	r.Rejected = tally.RejectedByReason()
	r.RowOutcomes, r.EventOutcomes = byOutcome(tally.Rows), byOutcome(tally.Events)
	return nil
}

func byOutcome(outcomes map[transform.Outcome]int) map[string]int {
	counts := make(map[string]int)
	for outcome, n := range outcomes {
		counts[string(outcome)] = n
	}
	return counts
}
