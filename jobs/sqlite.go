package jobs

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/cespare/xxhash/v2"
	"github.com/pressly/goose/v3"
	"modernc.org/libc"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var sqliteDialect = dialect{
	name:         "sqlite",
	goose:        goose.DialectSQLite3,
	now:          `CAST(unixepoch('subsec') * 1000 AS INTEGER)`,
	versioned:    `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'goose_db_version')`,
	conversation: `hash IN (0, conversation_hash($2)) AND conversation = $2`,
	derived:      derivedColumn{table: "ledger", name: "hash", function: "conversation_hash", of: "conversation"},
	tables:       `SELECT name FROM sqlite_master WHERE type = 'table'`,
	bytes:        `SELECT (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size())`,
	erasing:      `PRAGMA secure_delete = ON`,
	erased:       `PRAGMA wal_checkpoint(TRUNCATE)`,
	try:          "a path that this user can read and write, on a local disk with room (state: in the job file)",
	temporary:    temporarySQLite,
}

// conversationHash orders the conversations in SQLite's ledger as the positions
// of a Parquet source do, so that what is delivered together lies together. From
// Postgres they come by id: then it is 0 instead, for all of a job. It is part of
// stored state. SQLite's integers are signed.
func conversationHash(id string) int64 { return int64(xxhash.Sum64String(id) ^ 1<<63) }

// Migrations call conversationHash.
func init() {
	sqlite.MustRegisterDeterministicScalarFunction("conversation_hash", 1,
		func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			switch id := args[0].(type) {
			case []byte:
				return conversationHash(string(id)), nil
			case string:
				return conversationHash(id), nil
			}
			return nil, fmt.Errorf("hash a conversation's id: it is a %T", args[0])
		})
}

// A statement keeps what it has overwritten, to take itself back; beyond so many
// bytes in a temporary file, of which a process that is killed may leave the name,
// and for which some machines have no folder. Rows of the ledger that lie apart
// need more than the usual 64 KB.
const statementJournal = 1 << 20

func init() {
	tls := libc.NewTLS()
	defer tls.Close()
	size := libc.NewVaList(int32(statementJournal))
	defer libc.Xfree(tls, size)
	sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_STMTJRNL_SPILL, size)
}

// OpenSQLite opens the state store in a file, which is created if it does not
// exist, and brings its schema up to date.
func OpenSQLite(ctx context.Context, path string) (*State, error) {
	return StateRef{SQLite: path}.Open(ctx)
}

func connectSQLite(path string) (*State, error) {
	if err := checkSQLite(path); err != nil {
		return nil, err
	}
	// synchronous=FULL: a checkpoint that was committed survives a power cut.
	// txlock=immediate: a transaction that will write takes its turn when it
	// begins, and waits for it, instead of failing half way.
	options := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", sqlitePatience.Milliseconds()), "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
	}
	name := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: options.Encode()}).String()
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("open state store %s: %w", path, err)
	}
	return &State{db: db, dialect: sqliteDialect, place: path}, nil
}

// firstRead reads from the store until that is possible. While another process
// closes the last connection to the file, or opens the first one, SQLite
// answers that it is busy without waiting as it does later.
func (s *State) firstRead(ctx context.Context) error {
	_, err := backoff.Retry(ctx, func() (tables int, err error) {
		err = s.db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master`).Scan(&tables)
		if err != nil && !busySQLite(err) {
			err = backoff.Permanent(err)
		}
		return tables, err
	}, backoff.WithMaxElapsedTime(sqlitePatience))
	return err
}

// sqlitePatience is how long one process waits for others that use the file.
const sqlitePatience = 10 * time.Second

// memorySQLite opens a store in memory, which is empty.
func memorySQLite() (*State, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, fmt.Errorf("open an empty state store: %w", err)
	}
	// Each connection would have a database of its own.
	db.SetMaxOpenConns(1)
	return &State{db: db, dialect: sqliteDialect, place: "in memory"}, nil
}

func busySQLite(err error) bool { return codeSQLite(err) == sqlite3.SQLITE_BUSY }

// temporarySQLite reports whether an error passes once another process, or the
// operator, has made room, or the file writable.
func temporarySQLite(err error) bool {
	switch codeSQLite(err) {
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return true
	}
	return passingSQLite(err)
}

// passingSQLite is temporarySQLite for a file that is being opened: that it
// cannot be opened or written is a mistake then.
func passingSQLite(err error) bool {
	switch codeSQLite(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
		return true
	}
	return false
}

// codeSQLite is SQLite's code of an error, without what extends it, or SQLITE_OK
// if it is none of SQLite's.
func codeSQLite(err error) int {
	var answer *sqlite.Error
	if !errors.As(err, &answer) {
		return sqlite3.SQLITE_OK
	}
	return answer.Code() & 0xff
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
