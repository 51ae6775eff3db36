package extract

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// applicationName is how our connections are known in pg_stat_activity. Those
// of other runs do not hold the upper bound back either.
const applicationName = "chatbackfill"

const connectTimeout = 15 * time.Second

// sslModeKey finds whether a DSN, of either form, says how to use TLS.
var sslModeKey = regexp.MustCompile(`(?:^|[\s?&])(?:sslmode|ssl)\s*=\s*'?([\w-]*)`)

// parseDSN returns the configuration of connections. Unless the DSN spells out
// another mode, servers off the loopback have to prove who they are.
func parseDSN(dsn string, log *slog.Logger) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, dsnFault(err)
	}
	mode := sslModeKey.FindStringSubmatch(dsn)
	switch remote := RemoteHosts(config.ConnConfig); {
	case len(remote) == 0:
	case mode == nil:
		if config, err = pgxpool.ParseConfig(withVerifyFull(dsn)); err != nil {
			return nil, dsnFault(err)
		}
	case mode[1] != "verify-full":
		log.Warn("the connection to Postgres is not safe from others who pose as the server: use sslmode=verify-full",
			"sslmode", mode[1], "host", strings.Join(remote, ","))
	}
	configure(config)
	return config, nil
}

func configure(config *pgxpool.Config) {
	config.MaxConns = 2
	config.MinConns, config.MinIdleConns = 0, 0
	conn := config.ConnConfig
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectTimeout
	}
	conn.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	conn.RuntimeParams["application_name"] = applicationName
	// A server that is gone without a word is noticed within a minute.
	dialer := &net.Dialer{
		Timeout:         conn.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3},
	}
	conn.DialFunc = dialer.DialContext
}

// dsnFault says what is wrong with a DSN without repeating any of it: it may
// hold a password anywhere.
func dsnFault(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("parse the DSN of the Postgres source: %w", path)
	}
	return errors.New("parse the DSN of the Postgres source: it is neither postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=MODE, with everything special in it percent-encoded, nor of the form host=HOST user=USER …")
}

func withVerifyFull(dsn string) string {
	const mode = "sslmode=verify-full"
	switch {
	case !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://"):
		return dsn + " " + mode
	case strings.Contains(dsn, "?"):
		return dsn + "&" + mode
	}
	return dsn + "?" + mode
}

// RemoteHosts are the servers of a configuration that are not on this machine:
// connections to them verify the server's name unless the DSN says otherwise.
func RemoteHosts(config *pgx.ConnConfig) (remote []string) {
	hosts := []string{config.Host}
	for _, f := range config.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		ip, err := netip.ParseAddr(host)
		local := strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || err == nil && ip.IsLoopback()
		if !local {
			remote = append(remote, host)
		}
	}
	return remote
}

// The times that statements may take. Lists of all ids take as long as they do.
const (
	pageTimeout = 2 * time.Minute
	listTimeout = 0
	lockTimeout = 15 * time.Second
	idleTimeout = 2 * time.Minute
)

// pgTransaction is a read-only transaction: all that is read in it belongs to
// one moment.
type pgTransaction struct{ pgx.Tx }

// inTransaction calls f with a transaction of its own. Settings are the
// transaction's, not the connection's, which a pooler may give to others.
func (p *Postgres) inTransaction(ctx context.Context, timeout time.Duration, f func(tx *pgTransaction) error) error {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: fmt.Sprintf(
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = %d; "+
			"SET LOCAL idle_in_transaction_session_timeout = %d; SET LOCAL jit = off",
		timeout.Milliseconds(), lockTimeout.Milliseconds(), idleTimeout.Milliseconds())})
	if err != nil {
		return err
	}
	err = f(&pgTransaction{tx})
	// There is nothing to commit. A connection on which this fails is closed.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	tx.Rollback(end)
	return err
}

// rows calls each with the values of every row, which are valid until it
// returns. If each fails, the rest of the rows is not waited for. Without an
// error all rows there are have been seen.
func (tx *pgTransaction) rows(ctx context.Context, s *pgStatement, formats []int16, fields func([]pgconn.FieldDescription) error, each func(values [][]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
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
