package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/chatbackfill/chatbackfill/extract"
)

// postgresSchema holds all tables of the store.
const postgresSchema = "chatbackfill"

var postgresDialect = dialect{
	name:      "postgres",
	goose:     goose.DialectPostgres,
	now:       `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`,
	versioned: `SELECT to_regclass('` + postgresSchema + `.goose_db_version') IS NOT NULL`,
	tables:    `SELECT tablename FROM pg_tables WHERE schemaname = '` + postgresSchema + `'`,
	bytes: `SELECT coalesce(sum(pg_total_relation_size(format('%I.%I', schemaname, tablename)::regclass)), 0)::bigint
		FROM pg_tables WHERE schemaname = '` + postgresSchema + `'`,
	conversation: `sha256(conversation) = sha256($2)`,
	bulk:         true,
	lock:         (*State).lockPostgres,
	temporary:    func(error) bool { return false }, // stateConn has said so already
}

// connectPostgres connects to the database that holds the state store.
func connectPostgres(ctx context.Context, dsn string, log *slog.Logger) (*State, error) {
	config, err := extract.ParsePostgres(dsn, "the state store", log)
	if err != nil {
		return nil, classify(err)
	}
	db := sql.OpenDB(stateConnector{stdlib.GetConnector(*config)})
	// A commit, a look into the ledger and the renewal of the lease at once.
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	db.SetConnMaxIdleTime(time.Minute)
	db.SetConnMaxLifetime(30 * time.Minute)
	s := &State{db: db, dialect: postgresDialect, place: placeOf(config)}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(s.openError(err), db.Close())
	}
	return s, nil
}

// placeOf names a database without its credentials.
func placeOf(config *pgx.ConnConfig) string {
	return "postgres://" + net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))) + "/" + config.Database
}

// lockPostgres makes the schema and takes the right to migrate it.
func (s *State) lockPostgres(ctx context.Context) (unlock func() error, err error) {
	if err := s.createSchema(ctx); err != nil {
		return nil, err
	}
	locker, err := newMigrationLock()
	if err != nil {
		return nil, err
	}
	if err := locker.Lock(ctx, s.db); err != nil {
		return nil, err
	}
	return func() error { return locker.Unlock(ctx, s.db) }, nil
}

// createSchema creates the schema if there is none.
func (s *State) createSchema(ctx context.Context) error {
	var exists bool
	var user, database string
	const query = `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = '` + postgresSchema + `'), current_user, current_database()`
	err := s.db.QueryRowContext(ctx, query).Scan(&exists, &user, &database)
	if err != nil || exists {
		return err
	}
	_, err = s.db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+postgresSchema)
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return err
	}
	switch answer.Code {
	case duplicateSchema, uniqueViolation: // somebody else created it at the same time
		return nil
	case notAllowed:
		return &Error{Exit: ExitUsage, Err: err,
			Try: fmt.Sprintf("as an administrator of database %s: CREATE SCHEMA %s AUTHORIZATION %q", database, postgresSchema, user)}
	}
	return err
}

// newMigrationLock returns a lock that is a row of a table: what a session
// holds strands behind a pooler in transaction mode. It runs out some seconds
// after its owner was killed.
func newMigrationLock() (lock.Locker, error) {
	return lock.NewPostgresTableLocker(
		lock.WithTableLeaseDuration(10*time.Second),
		lock.WithTableHeartbeatInterval(2*time.Second),
		lock.WithTableLockTimeout(100*time.Millisecond, 3000),
		lock.WithTableUnlockTimeout(100*time.Millisecond, 50),
		lock.WithTableLogger(slog.New(slog.DiscardHandler)),
		lock.WithTableRetryPolicy(func(err error) bool {
			// That another has the lock is no answer of the server.
			var answer *pgconn.PgError
			var classed *Error
			return !errors.As(err, &answer) && !errors.As(err, &classed)
		}),
	)
}
