package jobs

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/chatbackfill/chatbackfill/transform"
)

// ShardStatus is how far a shard of a job is.
type ShardStatus struct {
	Shard     string      `json:"shard"`  // "2/8" is the third of eight
	State     string      `json:"state"`  // new, running, done, interrupted, killed or failed
	Holder    *LeaseOwner `json:"holder"` // null: nobody runs it
	Pass      *PassStatus `json:"pass"`   // null: there was none
	Run       *RunRecord  `json:"run"`    // under way or the last; null: there was none
	EventRate float64     `json:"events_per_second"`
	RowRate   float64     `json:"rows_per_second"`
	Percent   *float64    `json:"percent"` // as that of a job
}

// readShards reads how far the shards are, and adds them up. A job that is not
// divided is one shard, which is not shown.
func (j *JobState) readShards(ctx context.Context, s *JobStatus) error {
	runs, err := j.lastRuns(ctx)
	if err != nil {
		return err
	}
	if len(runs) > 0 {
		s.Run = &runs[0]
	}
	of, reached, err := j.division(ctx, s.Holders)
	if err != nil {
		return err
	}
	for index := range max(of, 1) {
		shard := ShardStatus{}
		if of > 0 {
			shard.Shard = fmt.Sprintf("%d/%d", index, of)
		}
		if err := j.readShard(ctx, &shard, s.Holders, runs, reached); err != nil {
			return err
		}
		s.Shards = append(s.Shards, shard)
	}
	s.addUp()
	if of == 0 {
		s.Shards = nil
	}
	return nil
}

// lastRuns returns the last run of each shard, newest first.
func (j *JobState) lastRuns(ctx context.Context) ([]RunRecord, error) {
	return j.runs(ctx, `AND (r.shard, r.started_at) IN (SELECT shard, max(started_at) FROM runs WHERE job_id = $1 GROUP BY shard)
		ORDER BY r.started_at DESC, r.epoch DESC`)
}

// division returns into how many shards the job was divided last, 0 if it was
// not, and when each of them wrote its checkpoint.
func (j *JobState) division(ctx context.Context, holders []LeaseOwner) (of int, reached map[string]time.Time, err error) {
	rows, err := j.db.QueryContext(ctx, `SELECT shard, updated_at FROM checkpoints WHERE job_id = $1 ORDER BY updated_at DESC`, j.id)
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close()
	reached = make(map[string]time.Time)
	for rows.Next() {
		var shard string
		var updated int64
		if err := rows.Scan(&shard, &updated); err != nil {
			return 0, nil, err
		}
		if len(reached) == 0 {
			of = dividedBy(shard)
		}
		reached[shard] = time.UnixMilli(updated).UTC()
	}
	if len(holders) > 0 {
		of = dividedBy(holders[0].Shard)
	}
	return of, reached, rows.Err()
}

// dividedBy returns the number of shards that a shard's key is of; 0 if it is
// that of the whole.
func dividedBy(key string) int {
	_, of, _ := strings.Cut(key, "/")
	n, _ := strconv.Atoi(of) // the whole has no number
	return n
}

// readShard completes a shard that has only its key.
func (j *JobState) readShard(ctx context.Context, s *ShardStatus, holders []LeaseOwner, runs []RunRecord, reached map[string]time.Time) error {
	for i := range holders {
		if holders[i].Shard == s.Shard {
			s.Holder = &holders[i]
		}
	}
	for i := range runs {
		if runs[i].Shard == s.Shard {
			s.Run = &runs[i]
			break
		}
	}
	if updated, ok := reached[s.Shard]; ok {
		at, err := j.Checkpoint(ctx, s.Shard)
		if err != nil {
			return err
		}
		s.Pass = passStatus(&at, updated)
	}
	s.State = s.state()
	s.measure()
	return nil
}

func passStatus(at *Checkpoint, updated time.Time) *PassStatus {
	if at.Pass == 0 {
		return nil
	}
	p := &PassStatus{
		Number: at.Pass, Done: at.Done, Halted: at.Tally.Halted != nil, Position: string(at.Position),
		Upper: at.Upper.Time().UTC(), Updated: updated,
		Rows: at.Tally.RowCount(), Conversations: at.Tally.Conversations, Events: at.Tally.Events[transform.Accepted],
		Rejected: sum(at.Tally.RejectedByReason()),
		partial:  at.Lower > 0,
	}
	return p
}

func (s *ShardStatus) state() string {
	switch {
	case s.Holder != nil:
		return JobRunning
	case s.Run == nil:
		return JobNew
	}
	switch s.Run.State {
	case RunKilled:
		return JobKilled
	case RunInterrupted:
		return JobInterrupted
	case RunFailed:
		return JobFailed
	}
	return JobDone
}

// measure says how fast the shard's run is, and how far.
func (s *ShardStatus) measure() {
	if s.Pass == nil || s.Run == nil {
		return
	}
	if took := s.Pass.Updated.Sub(s.Run.Started).Seconds(); took > 0 && s.Run.State == RunRunning {
		s.EventRate, s.RowRate = float64(s.Run.Events)/took, float64(s.Run.Rows)/took
	}
	if s.Pass.Done || s.Run.SourceRows > 0 && !s.Run.Part && !s.Pass.partial {
		percent := 100.0
		if !s.Pass.Done {
			percent = min(percent, 100*float64(s.Pass.Rows)/float64(s.Run.SourceRows))
		}
		s.Percent = &percent
	}
}

// addUp makes the job's status of that of its shards.
func (s *JobStatus) addUp() {
	percent, known := 0.0, true
	for i := range s.Shards {
		shard := &s.Shards[i]
		s.EventRate, s.RowRate = s.EventRate+shard.EventRate, s.RowRate+shard.RowRate
		switch {
		case shard.Percent != nil:
			percent += *shard.Percent / float64(len(s.Shards))
		case shard.Run != nil:
			known = false
		}
		s.Pass = s.Pass.with(shard.Pass)
	}
	if s.Pass == nil {
		return
	}
	for i := range s.Shards {
		s.Pass.Done = s.Pass.Done && s.Shards[i].Pass != nil
	}
	if known {
		s.Percent = &percent
	}
}

// with returns the passes of two shards as one.
func (p *PassStatus) with(q *PassStatus) *PassStatus {
	switch {
	case q == nil:
		return p
	case p == nil:
		sum := *q
		return &sum
	}
	sum := PassStatus{
		Number: min(p.Number, q.Number), Done: p.Done && q.Done, Halted: p.Halted || q.Halted, Upper: p.Upper, Updated: p.Updated,
		Rows: p.Rows + q.Rows, Conversations: p.Conversations + q.Conversations, Events: p.Events + q.Events, Rejected: p.Rejected + q.Rejected,
	}
	if q.Upper.Before(sum.Upper) {
		sum.Upper = q.Upper
	}
	if q.Updated.After(sum.Updated) {
		sum.Updated = q.Updated
	}
	return &sum
}

// ended returns the state of a job that nobody runs: that of its worst shard.
// One that has shards which did not begin yet is not done.
func (s *JobStatus) ended() string {
	if len(s.Shards) == 0 {
		return (&ShardStatus{Run: s.Run}).state()
	}
	seen := make(map[string]bool)
	for i := range s.Shards {
		seen[s.Shards[i].State] = true
	}
	for _, state := range []string{JobFailed, JobKilled, JobInterrupted} {
		if seen[state] {
			return state
		}
	}
	if seen[JobNew] {
		return JobInterrupted
	}
	return JobDone
}
