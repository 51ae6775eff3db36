package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/chatbackfill/chatbackfill/extract"
)

var errDatabase = errors.New("the database is not the one that the job has read, or an earlier state of it")

// checkDatabase compares the database of a source with the one that the job has
// read: position and bounds of its passes tell of no other.
func (e *Execution) checkDatabase(ctx context.Context, job *JobState, source Source) error {
	p, ok := source.(*postgresSource)
	if !ok {
		return nil
	}
	// Looked at first: another shard may record a later mark at any time.
	checkpoints, err := job.checkpoints(ctx)
	if err != nil {
		return err
	}
	if p.mark, err = p.Postgres.Mark(ctx); err != nil {
		return err
	}
	for _, at := range checkpoints {
		var recorded extract.PostgresMark
		if json.Unmarshal([]byte(at.Source), &recorded) != nil {
			continue // no database has marked it
		}
		if difference := p.mark.Difference(recorded); difference != "" {
			return &Error{Exit: ExitDiffers, Err: fmt.Errorf("%w: %s", errDatabase, difference), Try: e.tryDatabase()}
		}
		p.mark = p.mark.Since(recorded)
	}
	return nil
}

func (e *Execution) tryDatabase() string {
	const try = "the dsn of the database that it has read; or, if this is the right one now, chatbackfill reset "
	if !e.Spec.Ledger {
		return try + "--ledger " + e.Spec.File + ": everything is sent, also what was sent before"
	}
	return try + e.Spec.File + ": it is read from the start, and what was delivered is not sent again"
}
