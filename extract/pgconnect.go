package extract

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// newPool makes no connection yet.
func newPool(ctx context.Context, dsn string, log *slog.Logger) (*pgxpool.Pool, error) {
	conn, err := ParsePostgres(dsn, "the Postgres source", log)
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	config.ConnConfig = conn
	config.MaxConns, config.MinConns, config.MinIdleConns = 2, 0, 0
	config.PingTimeout = connectTimeout
	return pgxpool.NewWithConfig(ctx, config)
}

// The times that statements may take. Lists of all ids take as long as they do.
const (
	pageTimeout = 2 * time.Minute
	listTimeout = 0
	lockTimeout = 15 * time.Second
	idleTimeout = 2 * time.Minute
)

// answerGrace is for how much longer than a statement may take its answer is
// waited for. What stands between may have lost the server without a word, and
// keep the connection alive.
const answerGrace = 30 * time.Second

// pgTransaction is a read-only transaction: all that is read in it belongs to
// one moment.
type pgTransaction struct {
	pgx.Tx
	again func() // waits anew, as long as for a statement
}

// inTransaction calls f with a transaction of its own. What f has read counts only
// if there is no error then. Settings are the transaction's, not the connection's,
// which a pooler may give to others.
func (p *Postgres) inTransaction(ctx context.Context, timeout time.Duration, f func(tx *pgTransaction) error) error {
	return p.inTransactionWith(ctx, timeout, "", f)
}

// inTransactionWith is inTransaction with further settings.
func (p *Postgres) inTransactionWith(ctx context.Context, timeout time.Duration, settings string, f func(tx *pgTransaction) error) error {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	more, err := serverSettings(conn.Conn().PgConn().ParameterStatus("server_version"))
	if err != nil {
		return err
	}
	wire, limit := conn.Conn().PgConn().Conn(), timeout+p.grace
	silence := time.AfterFunc(limit, func() { wire.Close() })
	defer silence.Stop()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: fmt.Sprintf(
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = %d; "+
			"SET LOCAL idle_in_transaction_session_timeout = %d; SET LOCAL jit = off%s%s",
		timeout.Milliseconds(), lockTimeout.Milliseconds(), idleTimeout.Milliseconds(), more, settings)})
	if err != nil {
		return err
	}
	if timeout == 0 {
		silence.Stop()
		limit = math.MaxInt64
	}
	reading := &pgTransaction{tx, func() { silence.Reset(limit) }}
	if err = f(reading); err == nil {
		err = reading.checkSnapshot(ctx)
	}
	// There is nothing to commit. A connection on which this fails is closed.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	tx.Rollback(end)
	return err
}

// noTransactionTimeout lifts what may be set for the role or the database:
// statements have a timeout of their own.
const noTransactionTimeout = "; SET LOCAL transaction_timeout = 0"

// serverSettings are settings that not every server knows. One that cannot tell
// whether a page saw all there is (pg_partition_root) is refused.
func serverSettings(version string) (string, error) {
	major := 12
	// A server that calls its version otherwise is none of Postgres's old ones.
	_, _ = fmt.Sscanf(version, "%d", &major)
	switch {
	case major < 12:
		return "", &ConnectionError{Err: fmt.Errorf("the server is Postgres %s", version), Try: "Postgres 12 or newer"}
	case major < 17:
		return "", nil
	}
	return noTransactionTimeout, nil
}

// rows calls each with the values of every row, which are valid until it
// returns. If each fails, the rest of the rows is not waited for. Without an
// error all rows there are have been seen.
func (tx *pgTransaction) rows(ctx context.Context, s *pgStatement, formats []int16, fields func([]pgconn.FieldDescription) error, each func(values [][]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tx.again()
	result := tx.Conn().PgConn().ExecParams(ctx, s.sql, s.params, nil, nil, formats)
	var err error
	if described := result.FieldDescriptions(); described != nil {
		err = fields(described)
	}
	for err == nil && result.NextRow() {
		err = each(result.Values())
	}
	if err != nil {
		cancel()
		result.Close() // its error follows from ours
		return err
	}
	_, err = result.Close()
	return err
}

// oneText returns the first value of the only row.
func (tx *pgTransaction) oneText(ctx context.Context, s *pgStatement) (text string, err error) {
	err = tx.rows(ctx, s, nil, anyFields, func(values [][]byte) error {
		text += string(values[0])
		return nil
	})
	return text, err
}

func anyFields([]pgconn.FieldDescription) error { return nil }
