package jobs

import (
	"context"
	"fmt"
	"time"
)

// alertState is what somebody was told last.
type alertState struct {
	firing bool
	since  time.Time
}

// alert returns what was told last; at first that nothing is wrong since a time.
func (j *JobState) alert(ctx context.Context, kind string, since time.Time) (alertState, error) {
	_, err := j.db.ExecContext(ctx, `INSERT INTO alerts (job_id, kind, firing, since) VALUES ($1, $2, $3, $4) ON CONFLICT (job_id, kind) DO NOTHING`,
		j.id, kind, false, since.UnixMilli())
	if err != nil {
		return alertState{}, fmt.Errorf("read alerts of job %s: %w", j.Name, err)
	}
	var s alertState
	var at int64
	err = j.db.QueryRowContext(ctx, `SELECT firing, since FROM alerts WHERE job_id = $1 AND kind = $2`, j.id, kind).Scan(&s.firing, &at)
	if err != nil {
		return s, fmt.Errorf("read alerts of job %s: %w", j.Name, err)
	}
	s.since = time.UnixMilli(at).UTC()
	return s, nil
}

// changeAlert records a change, and reports whether nobody else did meanwhile.
func (j *JobState) changeAlert(ctx context.Context, kind string, was, now alertState) (bool, error) {
	result, err := j.db.ExecContext(ctx, `UPDATE alerts SET firing = $4, since = $5 WHERE job_id = $1 AND kind = $2 AND firing = $3`,
		j.id, kind, was.firing, now.firing, now.since.UnixMilli())
	if err != nil {
		return false, fmt.Errorf("record alerts of job %s: %w", j.Name, err)
	}
	n, err := result.RowsAffected()
	return n == 1, err
}
