package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/chatbackfill/chatbackfill/extract"
)

// CopyState copies all that a store holds into another, as one transaction, and
// marks the first: no job runs on it any more. It returns how many rows of each
// table there were.
func CopyState(ctx context.Context, from, to StateRef, log *slog.Logger) (map[string]int64, error) {
	source, err := from.open(ctx)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	target, err := to.openTarget(ctx)
	if err != nil {
		return nil, err
	}
	defer target.Close()
	if source.place == target.place {
		return nil, &Error{Exit: ExitUsage, Err: fmt.Errorf("copy %s to itself", source.place), Try: "--to with another store"}
	}
	var copied map[string]int64
	err = source.alone(ctx, log, func(ctx context.Context, leases []*Lease) error {
		if copied, err = target.load(ctx, func(to rowSink) error { return source.dump(ctx, to) }); err != nil {
			return err
		}
		if err := source.markMoved(ctx, leases, target.place); err != nil {
			return &Error{Exit: ExitCode(err), Err: fmt.Errorf("mark %s as moved to %s, which has all of it: %w", source.place, target.place, err),
				Try: "either let the job file name the new store and run nothing on the old one, or empty the new one and copy again"}
		}
		return nil
	})
	return copied, err
}

// open opens a store that exists and brings its schema up to date.
func (ref StateRef) open(ctx context.Context) (*State, error) {
	schema, err := ref.Schema(ctx)
	if err != nil {
		return nil, err
	}
	if schema.Version == 0 {
		return nil, &Error{Exit: ExitUsage, Err: fmt.Errorf("open state store %s: it does not exist", schema.Place), Try: "the store that the job has used (state: in the job file)"}
	}
	return ref.Open(ctx)
}

// openTarget opens a store that is to take the state of another, and creates it
// if need be. One whose own state is in another store takes none.
func (ref StateRef) openTarget(ctx context.Context) (*State, error) {
	s, err := ref.Open(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.checkMoved(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// alone calls do while holding the leases of all jobs of the store.
func (s *State) alone(ctx context.Context, log *slog.Logger, do func(ctx context.Context, leases []*Lease) error) (err error) {
	jobs, err := s.jobs(ctx)
	if err != nil {
		return err
	}
	leases := make([]*Lease, 0, len(jobs))
	release := context.WithoutCancel(ctx)
	defer func() {
		for _, l := range leases {
			err = errors.Join(err, l.Release(release))
		}
	}()
	for _, j := range jobs {
		leased, lease, err := j.acquireIn(ctx, extract.Shard{}, log)
		if err != nil {
			return err
		}
		leases, ctx = append(leases, lease), leased
	}
	return do(ctx, leases)
}

// jobs returns all jobs of the store.
func (s *State) jobs(ctx context.Context) ([]*JobState, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, name, label FROM jobs ORDER BY name, label`)
	if err != nil {
		return nil, fmt.Errorf("list the jobs of the state store: %w", err)
	}
	defer rows.Close()
	var all []*JobState
	for rows.Next() {
		j := &JobState{State: s}
		if err := rows.Scan(&j.id, &j.Name, &j.Label); err != nil {
			return nil, fmt.Errorf("list the jobs of the state store: %w", err)
		}
		all = append(all, j)
	}
	return all, rows.Err()
}

// load calls write with what writes rows into the store, and commits them if all
// have arrived. It returns their number by table.
func (s *State) load(ctx context.Context, write func(to rowSink) error) (map[string]int64, error) {
	l := &loader{store: s, jobs: make(map[int64]int64), read: make(map[string]int64)}
	err := s.transact(ctx, func(tx *sql.Tx) error {
		l.tx = tx
		if err := write(l); err != nil {
			return err
		}
		return l.check(ctx)
	})
	return l.read, err
}

// markMoved records where the store's state is now, unless somebody has written
// to it meanwhile.
func (s *State) markMoved(ctx context.Context, leases []*Lease, place string) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		for _, l := range leases {
			if err := l.hold(ctx, tx); err != nil {
				return err
			}
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM jobs`).Scan(&n); err != nil {
			return err
		}
		if n != len(leases) {
			return &Error{Exit: ExitInterrupted, Err: errors.New("another job began to use it while it was copied")}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO moved (place, moved_at) VALUES ($1, `+s.dialect.now+`)`, place)
		return err
	})
}

// moved returns where the store's state is now, empty if it is here.
func (s *State) moved(ctx context.Context) (place string, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT place FROM moved ORDER BY moved_at DESC LIMIT 1`).Scan(&place)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return place, err
}

// checkMoved returns an error if the store's state is in another.
func (s *State) checkMoved(ctx context.Context) error {
	place, err := s.moved(ctx)
	if err != nil {
		return fmt.Errorf("read where the state is: %w", err)
	}
	if place == "" {
		return nil
	}
	return &Error{Exit: ExitDiffers, Err: fmt.Errorf("the state of %s was moved to %s", s.place, place), Try: "state: in the job file with the new store"}
}

// JobSize is how much the store has of a job.
type JobSize struct {
	Job           string `json:"job"`
	Label         string `json:"label"`
	Conversations int    `json:"conversations"` // in the ledger
	Events        int    `json:"events"`        // delivered, according to the ledger
	Rejects       int    `json:"rejects"`       // open
	Due           int    `json:"due"`           // conversations to be looked at again
}

// StateSize is how much a store holds.
type StateSize struct {
	Bytes int64     `json:"bytes"`
	Jobs  []JobSize `json:"jobs"`
	Moved string    `json:"moved_to,omitempty"`
}

// Size returns how much the store holds. One whose schema is not this program's
// is not looked into.
func (ref StateRef) Size(ctx context.Context) (size StateSize, err error) {
	s, err := ref.connectExisting(ctx)
	if err != nil {
		return size, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	schema, err := s.schema(ctx)
	if err != nil || schema.Version != schema.Program {
		return size, err
	}
	if err := s.db.QueryRowContext(ctx, s.dialect.bytes).Scan(&size.Bytes); err != nil {
		return size, fmt.Errorf("measure the state store: %w", err)
	}
	if size.Moved, err = s.moved(ctx); err != nil {
		return size, err
	}
	jobs, err := s.jobs(ctx)
	if err != nil {
		return size, err
	}
	for _, j := range jobs {
		r, err := j.Remembered(ctx)
		if err != nil {
			return size, err
		}
		size.Jobs = append(size.Jobs, JobSize{j.Name, j.Label, r.Conversations, r.Events, r.Rejects, r.Due})
	}
	return size, nil
}
