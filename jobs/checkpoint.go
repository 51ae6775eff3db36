package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load/failpoint"
)

// checkpointFormat is the format of checkpoints that this program writes. It
// reads older ones and refuses newer ones.
const checkpointFormat = 1

// Checkpoint is the committed record of what has been delivered of a pass, and
// where the source is to be read next. The zero Checkpoint is that of a job
// that never ran.
type Checkpoint struct {
	Pass        int64            // 1 for the first
	Lower       extract.Time     // the pass looks at rows from here ...
	Upper       extract.Time     // ... to here, exclusive
	Position    extract.Position // where to read next
	Done        bool             // the pass is finished
	Source      string           // what marked the source when the pass began
	Tally       Counts           // what became of the pass's rows and events
	Destination json.RawMessage  // what the destination needs to go on
}

// next is the pass that the next run goes on with, or begins.
func (c *Checkpoint) next() int64 {
	if c.Done {
		return c.Pass + 1
	}
	return c.Pass
}

// Checkpoint returns the last checkpoint of a shard.
func (j *JobState) Checkpoint(ctx context.Context, shard string) (Checkpoint, error) {
	c := Checkpoint{Tally: newCounts()}
	var format int
	var position, tally, destination []byte
	err := j.db.QueryRowContext(ctx, `SELECT format, pass, lower, upper, source, position, done, tally, destination
		FROM checkpoints WHERE job_id = $1 AND shard = $2`, j.id, shard).
		Scan(&format, &c.Pass, &c.Lower, &c.Upper, &c.Source, &position, &c.Done, &tally, &destination)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return c, nil
	case err != nil:
		return c, fmt.Errorf("read the checkpoint of job %s: %w", j.Name, err)
	case format > checkpointFormat:
		return c, &Error{Exit: ExitDiffers,
			Err: fmt.Errorf("read the checkpoint of job %s: it has format %d, this program knows %d", j.Name, format, checkpointFormat),
			Try: "run the version of chatbackfill that wrote it, or a later one"}
	}
	c.Position = extract.Position(position)
	if string(destination) != "null" {
		c.Destination = destination
	}
	if err := json.Unmarshal(tally, &c.Tally); err != nil {
		return c, fmt.Errorf("read the checkpoint of job %s: %w", j.Name, err)
	}
	return c, nil
}

// checkpoints returns the last checkpoints of all shards.
func (j *JobState) checkpoints(ctx context.Context) (map[string]Checkpoint, error) {
	shards, err := j.shards(ctx)
	if err != nil {
		return nil, err
	}
	all := make(map[string]Checkpoint, len(shards))
	for _, shard := range shards {
		if all[shard], err = j.Checkpoint(ctx, shard); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (j *JobState) shards(ctx context.Context) ([]string, error) {
	shards, err := queryColumn[string](ctx, j.State, `SELECT shard FROM checkpoints WHERE job_id = $1`, j.id)
	if err != nil {
		return nil, fmt.Errorf("read the checkpoints of job %s: %w", j.Name, err)
	}
	return shards, nil
}

// commit is what a chunk, or the end of a pass, adds to the state.
type commit struct {
	ledger  []ledgerEntry
	rejects []extract.Reject
	clean   []string                // conversations whose rows can all be read now
	due     map[string]extract.Time // when to look at a conversation again; 0: no more
	advance *Checkpoint             // nil if an earlier chunk is still on its way
	files   *fileList               // nil: as they were

	// bound says that what the ledger entries tell of is delivered only once the
	// checkpoint says so: files are cut to the length that it has.
	bound bool
	// resent says that the ledger may have events of these conversations already.
	resent bool
}

// commitLimit is how long one attempt to commit may take.
const commitLimit = 20 * time.Second

// Commit writes c in one transaction. If the lease has another owner only the
// ledger entries are written, for what was accepted is a fact unless it is bound
// to the checkpoint, and the error is errFenced.
//
// While the store cannot be written it is tried again, until the run is to end,
// and for storePatience at the longest. An attempt is made even if the run is to
// end already. Without an error, c is committed; with one, it may be.
func (l *Lease) Commit(ctx context.Context, runID string, c commit) error {
	var failed bool
	notify := func(err error) {
		l.log.Warn("cannot write to the state store; trying again", "job", l.job.Name, "error", err)
	}
	return patiently(l.leased, notify, func() error {
		ctx, cancel := l.attempt(ctx)
		defer cancel()
		// An attempt that failed may have been committed all the same.
		if failed {
			missing, err := l.job.unrecorded(ctx, c.ledger)
			if err != nil {
				return err
			}
			c.ledger = missing
		}
		failed = true
		return l.commit(ctx, runID, c)
	})
}

// attempt returns a context for an attempt to commit, which ends soon after the
// run is to end.
func (l *Lease) attempt(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, commitLimit)
	stop := context.AfterFunc(l.leased, func() { time.AfterFunc(lastWord, cancel) })
	return ctx, func() {
		stop()
		cancel()
	}
}

func (l *Lease) commit(ctx context.Context, runID string, c commit) error {
	fenced := false
	failpoint.At("commit-before")
	err := l.job.transact(ctx, func(tx *sql.Tx) error {
		var err error
		if fenced, err = l.lost(ctx, tx); err != nil || fenced && c.bound {
			return err
		}
		if err := l.job.writeLedger(ctx, tx, c.ledger); err != nil || fenced {
			return err
		}
		if c.resent {
			if err := l.job.compactLedger(ctx, tx, c.ledger); err != nil {
				return err
			}
		}
		failpoint.At("commit-half")
		if err := l.job.writeRejects(ctx, tx, runID, c.rejects, c.clean); err != nil {
			return err
		}
		if err := l.job.writeDue(ctx, tx, c.due); err != nil {
			return err
		}
		if err := l.writeFiles(ctx, tx, c.files); err != nil {
			return err
		}
		return l.writeCheckpoint(ctx, tx, l.shard, c.advance)
	})
	failpoint.At("commit-after")
	if err == nil && fenced {
		return errFenced
	}
	return err
}

// lost reports whether the lease has another owner. It holds the lease's row
// until the transaction ends.
func (l *Lease) lost(ctx context.Context, tx *sql.Tx) (bool, error) {
	result, err := tx.ExecContext(ctx, `UPDATE leases SET epoch = epoch WHERE job_id = $1 AND shard = $2 AND epoch = $3`,
		l.job.id, l.shard, l.epoch)
	if err != nil {
		return false, fmt.Errorf("check the lease of job %s: %w", l.job.Name, err)
	}
	n, err := result.RowsAffected()
	return n == 0, err
}

func (l *Lease) writeCheckpoint(ctx context.Context, tx *sql.Tx, shard string, c *Checkpoint) error {
	if c == nil {
		return nil
	}
	tally, err := json.Marshal(c.Tally)
	if err != nil {
		return err
	}
	destination := c.Destination
	if destination == nil {
		destination = json.RawMessage("null")
	}
	now := l.job.dialect.now
	_, err = tx.ExecContext(ctx, `
		INSERT INTO checkpoints (job_id, shard, format, epoch, pass, lower, upper, source, position, done, tally, destination, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, `+now+`)
		ON CONFLICT (job_id, shard) DO UPDATE SET format = excluded.format, epoch = excluded.epoch, pass = excluded.pass,
			lower = excluded.lower, upper = excluded.upper, source = excluded.source, position = excluded.position, done = excluded.done,
			tally = excluded.tally, destination = excluded.destination, updated_at = excluded.updated_at`,
		l.job.id, shard, checkpointFormat, l.epoch, c.Pass, int64(c.Lower), int64(c.Upper), c.Source, []byte(c.Position), c.Done,
		string(tally), string(destination))
	if err != nil {
		return fmt.Errorf("write the checkpoint of job %s: %w", l.job.Name, err)
	}
	return nil
}

func (j *JobState) writeDue(ctx context.Context, tx *sql.Tx, due map[string]extract.Time) error {
	if j.dialect.bulk {
		return j.bulkDue(ctx, tx, due)
	}
	for conversation, at := range due {
		var err error
		if at == 0 {
			_, err = tx.ExecContext(ctx, `DELETE FROM due WHERE job_id = $1 AND conversation = $2`, j.id, []byte(conversation))
		} else {
			_, err = tx.ExecContext(ctx, `INSERT INTO due (job_id, conversation, due_at) VALUES ($1, $2, $3)
				ON CONFLICT (job_id, conversation) DO UPDATE SET due_at = excluded.due_at`, j.id, []byte(conversation), int64(at))
		}
		if err != nil {
			return fmt.Errorf("write due notes of job %s: %w", j.Name, err)
		}
	}
	return nil
}

// Due returns the conversations that are noted to be looked at again, with when.
func (j *JobState) Due(ctx context.Context) (map[string]extract.Time, error) {
	rows, err := j.db.QueryContext(ctx, `SELECT conversation, due_at FROM due WHERE job_id = $1`, j.id)
	if err != nil {
		return nil, fmt.Errorf("read due notes of job %s: %w", j.Name, err)
	}
	defer rows.Close()
	due := make(map[string]extract.Time)
	for rows.Next() {
		var id []byte
		var at extract.Time
		if err := rows.Scan(&id, &at); err != nil {
			return nil, fmt.Errorf("read due notes of job %s: %w", j.Name, err)
		}
		due[string(id)] = at
	}
	return due, rows.Err()
}
