package jobs

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/pressly/goose/v3"
)

// State is the store of everything that outlives a run: leases, checkpoints,
// the ledger, due notes, rejects, runs. It is safe for concurrent use, by
// several processes too.
type State struct {
	db      *sql.DB
	dialect dialect
	place   string // for a person; without credentials
}

// dialect is what differs between the databases that can hold the state.
type dialect struct {
	name      string // and the folder of its migrations
	goose     goose.Dialect
	now       string // an expression: milliseconds since the Unix epoch on the store's clock
	versioned string // a query: whether any migration was run
	// conversation is a condition: the row is of the conversation $2.
	conversation string
	derived      derivedColumn
	tables       string // a query: the names of all tables
	bytes        string // a query: what the store takes on its disk
	bulk         bool   // statements take arrays; otherwise there are many, prepared
	erasing      string // a statement after which what a transaction deletes is overwritten; empty: there is none
	erased       string // a statement after which nothing else holds what was deleted; empty: there is none
	try          string // what to do about an error of opening that says nothing else

	// lock takes the right to migrate; nil: the database sees to it.
	lock func(s *State, ctx context.Context) (unlock func() error, err error)
	// temporary reports whether an error passes by itself.
	temporary func(error) bool
}

// Open opens the store and brings its schema up to date.
func (ref StateRef) Open(ctx context.Context) (*State, error) {
	s, err := ref.connect(ctx)
	if err != nil {
		return nil, err
	}
	return s.migrated(ctx, !ref.NoMigrate)
}

// OpenExisting opens the store for reading. One that does not exist is empty,
// and is not created.
func (ref StateRef) OpenExisting(ctx context.Context) (*State, error) {
	s, err := ref.connectExisting(ctx)
	if err != nil {
		return nil, err
	}
	version, err := s.SchemaVersion(ctx)
	if err != nil {
		return nil, errors.Join(s.openError(err), s.Close())
	}
	if version > 0 {
		if s, err = s.migrated(ctx, !ref.NoMigrate); err != nil {
			return nil, err
		}
		if err := s.checkMoved(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return s, nil
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	if s, err = memorySQLite(); err != nil {
		return nil, err
	}
	return s.migrated(ctx, true)
}

func (ref StateRef) connect(ctx context.Context) (*State, error) {
	if ref.SQLite != "" {
		s, err := connectSQLite(ref.SQLite)
		if err != nil {
			return nil, err
		}
		if err := s.firstRead(ctx); err != nil {
			return nil, errors.Join(s.openError(err), s.Close())
		}
		return s, nil
	}
	log := ref.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return connectPostgres(ctx, ref.Postgres.Reveal(), log)
}

// connectExisting is connect, but creates nothing.
func (ref StateRef) connectExisting(ctx context.Context) (*State, error) {
	if _, err := os.Stat(ref.SQLite); ref.SQLite != "" && errors.Is(err, fs.ErrNotExist) {
		return memorySQLite()
	}
	return ref.connect(ctx)
}

// migrated returns the store once its schema is up to date, and closes it if
// that cannot be.
func (s *State) migrated(ctx context.Context, may bool) (*State, error) {
	if err := s.migrate(ctx, may); err != nil {
		return nil, errors.Join(s.openError(err), s.Close())
	}
	return s, nil
}

func (s *State) openError(err error) error {
	var classed *Error
	if s.dialect.try != "" && !errors.As(err, &classed) && !passingSQLite(err) {
		err = &Error{Exit: ExitUsage, Err: err, Try: s.dialect.try}
	}
	return fmt.Errorf("open state store %s: %w", s.place, s.outage(err))
}

// Close closes the store.
func (s *State) Close() error { return s.db.Close() }

// transact runs do in a transaction that is committed unless do fails.
func (s *State) transact(ctx context.Context, do func(tx *sql.Tx) error) error {
	return s.transactAs(ctx, nil, do)
}

// snapshot is transact for what only reads: it waits for nobody who writes.
func (s *State) snapshot(ctx context.Context, do func(tx *sql.Tx) error) error {
	return s.transactAs(ctx, &sql.TxOptions{ReadOnly: true}, do)
}

func (s *State) transactAs(ctx context.Context, options *sql.TxOptions, do func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, options)
	if err != nil {
		return s.outage(err)
	}
	if err := do(tx); err != nil {
		tx.Rollback() // a connection on which this fails is closed, which does the same
		return s.outage(err)
	}
	return s.outage(tx.Commit())
}

// outage gives an error its exit code if it means that the store cannot be read
// or written for now.
func (s *State) outage(err error) error {
	var classed *Error
	switch {
	case err == nil || errors.As(err, &classed):
		return err
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrTxDone), errors.Is(err, context.DeadlineExceeded), s.dialect.temporary(err):
		return unavailable(err)
	}
	return err
}

func unavailable(err error) error {
	return &Error{Exit: ExitInterrupted, Err: err, Try: "run it again when the state store can be reached and written"}
}

// storePatience is how long a run waits for a store that cannot be read or
// written.
const storePatience = 5 * time.Minute

// patiently calls do until it succeeds, as long as it fails because of an
// outage, ctx does not end, and not for longer than storePatience. It returns
// what do returned last.
func patiently(ctx context.Context, notify func(error), do func() error) error {
	var failure error
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = 100*time.Millisecond, 10*time.Second
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		if failure = do(); failure != nil && ExitCode(failure) != ExitInterrupted {
			return struct{}{}, backoff.Permanent(failure)
		}
		return struct{}{}, failure
	}, backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(storePatience),
		backoff.WithNotify(func(err error, _ time.Duration) { notify(err) }))
	return failure
}

// JobState is the state of one job into one Segment source, named by its label.
type JobState struct {
	*State
	id    int64
	Name  string
	Label string

	// ReadsByID: the job comes to its conversations in the order of their ids.
	ReadsByID bool
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
