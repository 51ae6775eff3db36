package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"
)

// publishEvery is how often the store is told how far a run is, for status.
const publishEvery = 5 * time.Second

// advanced tells of a chunk that was checkpointed.
func (r *Run) advanced(c *sent, whole bool) {
	r.count(c, whole)
	r.mu.Lock()
	s := r.snapshot()
	late := time.Since(r.publishedAt) >= publishEvery
	if late {
		r.publishedAt = time.Now()
	}
	r.mu.Unlock()
	if r.Observer != nil {
		r.Observer.Advance(s)
	}
	if !late {
		return
	}
	if err := r.publish(context.Background(), s); err != nil {
		r.Log.Warn("cannot record how far the run is", "job", r.Job.Name, "error", err)
	}
}

// snapshot returns a copy of the summary. The lock is held.
func (r *Run) snapshot() Summary {
	s := r.summary
	s.Tally, s.Sent = s.Tally.Clone(), maps.Clone(s.Sent)
	return s
}

// publish records how far the run is.
func (r *Run) publish(ctx context.Context, s Summary) error {
	tally, err := json.Marshal(s.Tally)
	if err != nil {
		return err
	}
	sent := make(map[string]int)
	for name, n := range s.Sent {
		sent[name.String()] = n
	}
	byName, err := json.Marshal(sent)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	_, err = r.Job.db.ExecContext(ctx, `UPDATE runs SET tally = $2, source_rows = $3, sent = $4, part = $5 WHERE id = $1`,
		s.RunID, string(tally), r.sourceRows(), string(byName), r.Select != nil || r.Limit > 0)
	if err != nil {
		return fmt.Errorf("record how far the run of job %s is: %w", r.Job.Name, r.Job.outage(err))
	}
	return nil
}

// published records what a run did once it has ended.
func (r *Run) published(s Summary, failure error) (Summary, error) {
	return s, errors.Join(failure, r.publish(context.Background(), s))
}
