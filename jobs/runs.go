package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/chatbackfill/chatbackfill/load/failpoint"
)

// beginRun records that a run began.
func (j *JobState) beginRun(ctx context.Context, r *Run) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read the host's name: %w", err)
	}
	_, err = j.db.ExecContext(ctx, `INSERT INTO runs (id, job_id, shard, epoch, host, pid, version, started_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, `+j.dialect.now+`)`,
		r.id, j.id, r.lease.shard, r.lease.epoch, host, os.Getpid(), r.Version)
	if err != nil {
		return fmt.Errorf("record the run of job %s: %w", j.Name, err)
	}
	failpoint.At("run-recorded")
	return nil
}

// endRun records how a run ended, if the store can take it soon.
func (j *JobState) endRun(ctx context.Context, r *Run, failure error) error {
	failpoint.At("run-ending")
	tally, err := json.Marshal(r.summary.Tally)
	if err != nil {
		return err
	}
	problem := ""
	if failure != nil {
		problem = failure.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	_, err = j.db.ExecContext(ctx, `UPDATE runs SET ended_at = `+j.dialect.now+`, exit_code = $2, error = $3, tally = $4 WHERE id = $1`,
		r.id, ExitCode(failure), storable(problem), string(tally))
	if err != nil {
		return fmt.Errorf("record the end of the run of job %s: %w", j.Name, j.outage(err))
	}
	return nil
}
