package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// State is the store of everything that outlives a run: leases, checkpoints,
// the ledger, due notes, rejects, runs. It is safe for concurrent use, by
// several processes too.
type State struct {
	db      *sql.DB
	dialect dialect
}

// dialect is what differs between the databases that can hold the state.
type dialect struct {
	name string
	now  string // an expression: milliseconds since the Unix epoch on the store's clock
	join string // a format: the bytes of two columns, one after the other
}

// Open opens the store.
func (ref StateRef) Open(ctx context.Context) (*State, error) {
	if ref.SQLite == "" {
		return nil, &Error{Exit: ExitUsage, Err: errors.New("state: this version keeps it in SQLite only"), Try: "state: sqlite:PATH"}
	}
	return OpenSQLite(ctx, ref.SQLite)
}

// OpenExisting opens the store for reading. One that does not exist is empty,
// and is not created.
func (ref StateRef) OpenExisting(ctx context.Context) (*State, error) {
	if _, err := os.Stat(ref.SQLite); ref.SQLite != "" && errors.Is(err, fs.ErrNotExist) {
		return emptySQLite(ctx)
	}
	return ref.Open(ctx)
}

// Close closes the store.
func (s *State) Close() error { return s.db.Close() }

// transact runs do in a transaction that is committed unless do fails.
func (s *State) transact(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// JobState is the state of one job into one Segment source, named by its label.
type JobState struct {
	*State
	id    int64
	Name  string
	Label string
}

// FindJob returns the state of a job. If there is none it is empty, and is not
// created.
func (s *State) FindJob(ctx context.Context, name, label string) (*JobState, error) {
	j := &JobState{State: s, Name: name, Label: label}
	err := s.db.QueryRowContext(ctx, `SELECT id FROM jobs WHERE name = $1 AND label = $2`, name, label).Scan(&j.id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("open state of job %s into %s: %w", name, label, err)
	}
	return j, nil
}

// Job returns the state of a job, which is created if there is none.
func (s *State) Job(ctx context.Context, name, label string) (*JobState, error) {
	j := &JobState{State: s, Name: name, Label: label}
	err := s.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO jobs (name, label, settings, created_at) VALUES ($1, $2, '', `+s.dialect.now+`)
			ON CONFLICT (name, label) DO NOTHING`, name, label)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT id FROM jobs WHERE name = $1 AND label = $2`, name, label).Scan(&j.id)
	})
	if err != nil {
		return nil, fmt.Errorf("open state of job %s into %s: %w", name, label, err)
	}
	return j, nil
}
