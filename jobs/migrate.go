package jobs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/chatbackfill/chatbackfill/load/failpoint"
	"github.com/chatbackfill/chatbackfill/migrations"
)

// StateSchema is which version of its schema a state store has.
type StateSchema struct {
	Place   string // of the store, for a person; without credentials
	Version int64  // 0: it has none
	Program int64  // the version that this program needs
}

// Schema returns which schema the store has. One that does not exist has none,
// and is not created.
func (ref StateRef) Schema(ctx context.Context) (StateSchema, error) {
	s, err := ref.connectExisting(ctx)
	if err != nil {
		return StateSchema{}, err
	}
	schema, err := s.schema(ctx)
	if ref.SQLite != "" {
		schema.Place = ref.SQLite
	}
	return schema, errors.Join(err, s.Close())
}

// Migrate brings the schema up to date, whatever NoMigrate says, and returns
// what it was before.
func (ref StateRef) Migrate(ctx context.Context) (was StateSchema, err error) {
	if was, err = ref.Schema(ctx); err != nil {
		return was, err
	}
	ref.NoMigrate = false
	s, err := ref.Open(ctx)
	if err != nil {
		return was, err
	}
	return was, s.Close()
}

func (s *State) schema(ctx context.Context) (StateSchema, error) {
	version, err := s.SchemaVersion(ctx)
	if err != nil {
		return StateSchema{}, err
	}
	provider, err := s.provider()
	if err != nil {
		return StateSchema{}, err
	}
	sources := provider.ListSources()
	return StateSchema{Place: s.place, Version: version, Program: sources[len(sources)-1].Version}, nil
}

// SchemaVersion returns the version of the store's schema, 0 if it has none.
func (s *State) SchemaVersion(ctx context.Context) (version int64, err error) {
	var versioned bool
	err = s.db.QueryRowContext(ctx, s.dialect.versioned).Scan(&versioned)
	if err == nil && versioned {
		err = s.db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&version)
	}
	if err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return version, nil
}

// migrate brings the schema up to date, or checks that it is. Several processes
// may do so at once.
func (s *State) migrate(ctx context.Context, may bool) error {
	for {
		has, err := s.schema(ctx)
		switch {
		case err != nil || has.Version == has.Program:
			return err
		case has.Version > has.Program:
			return &Error{Exit: ExitDiffers, Err: fmt.Errorf("it has schema %d, this program knows %d", has.Version, has.Program),
				Try: "run the version of chatbackfill that migrated it, or a later one"}
		case !may:
			return &Error{Exit: ExitDiffers, Err: fmt.Errorf("it has schema %d, this program needs %d", has.Version, has.Program),
				Try: "chatbackfill state migrate JOB.yaml, or leave out --no-migrate"}
		}
		if err := s.up(ctx); err != nil {
			// Somebody else may have been faster.
			if now, again := s.SchemaVersion(ctx); again != nil || now <= has.Version {
				return fmt.Errorf("migrate its schema from %d to %d: %w", has.Version, has.Program, err)
			}
		}
	}
}

// up runs the migrations that have not been run, one process at a time.
func (s *State) up(ctx context.Context) (err error) {
	if s.dialect.lock != nil {
		unlock, err := s.dialect.lock(s, ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, unlock()) }()
	}
	provider, err := s.provider()
	if err != nil {
		return err
	}
	failpoint.At("migration-before")
	_, err = provider.Up(ctx)
	failpoint.At("migration-after")
	return err
}

func (s *State) provider() (*goose.Provider, error) {
	folder, err := fs.Sub(migrations.FS, s.dialect.name)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(s.dialect.goose, s.db, folder, goose.WithDisableGlobalRegistry(true))
}
