package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/chatbackfill/chatbackfill/migrations"
)

var sqliteDialect = dialect{
	name: "sqlite",
	now:  `CAST(unixepoch('subsec') * 1000 AS INTEGER)`,
	join: `CAST(%s || %s AS BLOB)`,
}

// OpenSQLite opens the state store in a file, which is created if it does not
// exist, and brings its schema up to date.
func OpenSQLite(ctx context.Context, path string) (*State, error) {
	if err := checkSQLite(path); err != nil {
		return nil, err
	}
	// synchronous=FULL: a checkpoint that was committed survives a power cut.
	// txlock=immediate: a transaction that will write takes its turn when it
	// begins, and waits for it, instead of failing half way.
	options := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
	}
	name := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: options.Encode()}).String()
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("open state store %s: %w", path, err)
	}
	s := &State{db: db, dialect: sqliteDialect}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(&Error{Exit: ExitUsage, Err: fmt.Errorf("open state store %s: %w", path, err),
			Try: "a path that this user can read and write, on a local disk with room (state: in the job file)"}, db.Close())
	}
	return s, nil
}

// emptySQLite opens a store in memory.
func emptySQLite(ctx context.Context) (*State, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, fmt.Errorf("open an empty state store: %w", err)
	}
	// Each connection would have a database of its own.
	db.SetMaxOpenConns(1)
	s := &State{db: db, dialect: sqliteDialect}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open an empty state store: %w", err), db.Close())
	}
	return s, nil
}

// checkSQLite creates the file if need be, readable by its owner only, and
// refuses one that is no SQLite database: nothing is ever created anew over it.
func checkSQLite(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		try := "a path that this user can write (state: in the job file)"
		if errors.Is(err, fs.ErrNotExist) {
			try = "mkdir -p " + filepath.Dir(path)
		}
		return &Error{Exit: ExitUsage, Err: fmt.Errorf("open state store: %w", err), Try: try}
	}
	head := make([]byte, 16)
	n, _ := f.Read(head)
	if err := f.Close(); err != nil {
		return err
	}
	if n > 0 && string(head[:n]) != "SQLite format 3\x00" {
		return &Error{Exit: ExitDiffers, Err: fmt.Errorf("open state store %s: it is no SQLite database", path),
			Try: "restore it from a backup, or name another file (state: in the job file)"}
	}
	return nil
}

// migrate brings the schema up to date. Several processes may do so at once.
func (s *State) migrate(ctx context.Context) error {
	folder, err := fs.Sub(migrations.FS, "sqlite")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.db, folder, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if pending, err := provider.HasPending(ctx); err != nil || !pending {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}
