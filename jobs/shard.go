package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
)

// ParseShard reads a shard as it is given on the command line: "2/8" is the
// third of eight. Empty is the whole source.
func ParseShard(s string) (extract.Shard, error) {
	if s == "" {
		return extract.Shard{}, nil
	}
	index, of, ok := strings.Cut(s, "/")
	i, err := strconv.Atoi(index)
	n, err2 := strconv.Atoi(of)
	if !ok || err != nil || err2 != nil || i < 0 || n < 1 || i >= n || n > 1<<16 {
		return extract.Shard{}, &Error{
			Exit: ExitUsage,
			Err:  fmt.Errorf("shard %q: it is not I/N with I from 0 to N-1", s),
			Try:  `--shard "$JOB_COMPLETION_INDEX/8" in an Indexed Job with 8 completions`,
		}
	}
	return extract.Shard{Index: i, Of: n}, nil
}

// shardKey is the key of a shard's lease and checkpoint.
func shardKey(s extract.Shard) string {
	if s.Of <= 1 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Of)
}

// divisionOf is the number of shards that the one with a key is one of.
func divisionOf(key string) int {
	_, of, divided := strings.Cut(key, "/")
	if !divided {
		return 1
	}
	n, err := strconv.Atoi(of)
	if err != nil {
		return 0 // nobody wrote such a key
	}
	return n
}

// divides reports whether a shard's key is one of the same division as s.
func divides(s extract.Shard, key string) bool { return divisionOf(key) == max(1, s.Of) }

// checkDivision returns an error if the job cannot be run by shards of this
// division now: several processes need a store that is not a file, and those of
// another division must have ended.
func (j *JobState) checkDivision(ctx context.Context, s extract.Shard) error {
	if s.Of > 1 && j.dialect.name == sqliteDialect.name {
		return &Error{Exit: ExitUsage, Err: errors.New("shards need a state store that several machines can use, and SQLite is a file"),
			Try: "state: postgres://… in the job file"}
	}
	rows, err := j.db.QueryContext(ctx, `SELECT shard, host, pid, taken_at FROM leases WHERE job_id = $1 AND expires_at > `+j.dialect.now, j.id)
	if err != nil {
		return fmt.Errorf("read the leases of job %s: %w", j.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var h Holder
		var taken int64
		if err := rows.Scan(&key, &h.Host, &h.PID, &taken); err != nil {
			return fmt.Errorf("read the leases of job %s: %w", j.Name, err)
		}
		h.Since = time.UnixMilli(taken)
		if !divides(s, key) {
			return heldError(j.Name, h)
		}
	}
	return rows.Err()
}

// acquireIn takes the lease of a shard unless somebody else holds it, or a shard
// of another division is under way.
func (j *JobState) acquireIn(ctx context.Context, s extract.Shard, log *slog.Logger) (context.Context, *Lease, error) {
	if err := j.checkDivision(ctx, s); err != nil {
		return nil, nil, err
	}
	leased, lease, err := j.Acquire(ctx, shardKey(s), log)
	if err != nil {
		return nil, nil, err
	}
	// Two of different divisions may have begun at the same time: each sees the
	// other now, and neither goes on.
	err = j.checkDivision(ctx, s)
	if err == nil {
		err = j.checkMoved(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(err, lease.Release(context.WithoutCancel(ctx)))
	}
	return leased, lease, nil
}

// inherit returns the checkpoint that a shard begins from: its own, or, after
// the job was divided otherwise, the least of what the shards before had
// reached. The ledger holds back what they delivered beyond it.
func (j *JobState) inherit(ctx context.Context, s extract.Shard) (Checkpoint, error) {
	own, err := j.Checkpoint(ctx, shardKey(s))
	if err != nil || own.Pass > 0 {
		return own, err
	}
	divisions, err := j.divisions(ctx)
	if err != nil {
		return own, fmt.Errorf("read the checkpoints of job %s: %w", j.Name, err)
	}
	found := false
	for of, d := range divisions {
		if of == max(1, s.Of) {
			continue // what the others of its own division have reached says nothing of the shard
		}
		if d.shards < of {
			d.reached = 0 // one of them never began
		}
		if !found || d.reached < own.Upper {
			own.Upper = d.reached
		}
		found = true
	}
	// There is no pass of its own to resume: what was reached is where the
	// first one begins.
	own.Done = found
	return own, nil
}

// division is what the shards of one division have reached.
type division struct {
	shards  int          // that ever began
	reached extract.Time // by all of them
}

// divisions returns those of the job, by the number of their shards.
func (j *JobState) divisions(ctx context.Context) (map[int]division, error) {
	rows, err := j.db.QueryContext(ctx, `SELECT shard, CASE WHEN done THEN upper ELSE lower END FROM checkpoints WHERE job_id = $1`, j.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[int]division)
	for rows.Next() {
		var key string
		var reached extract.Time
		if err := rows.Scan(&key, &reached); err != nil {
			return nil, err
		}
		d, known := found[divisionOf(key)]
		if known {
			reached = min(reached, d.reached)
		}
		found[divisionOf(key)] = division{d.shards + 1, reached}
	}
	return found, rows.Err()
}

// shardPlace stands for the shard in the path of a destination: 2-of-8 is the
// third of eight. A job that is divided otherwise later on, or not at all any
// more, writes files of other names: nobody knows whose turn it was in the old.
const shardPlace = "{shard}"

// shardPath returns the path of a shard's destination.
func shardPath(path string, s extract.Shard) (string, error) {
	if s.Of > 1 && !strings.Contains(path, shardPlace) {
		return "", &Error{Exit: ExitUsage, Err: fmt.Errorf("destination.file.path %q: all shards would write the same file", path),
			Try: "put " + shardPlace + " into the path: events-" + shardPlace + ".ndjson"}
	}
	return strings.ReplaceAll(path, shardPlace, fmt.Sprintf("%d-of-%d", s.Index, max(1, s.Of))), nil
}
