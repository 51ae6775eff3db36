package jobs

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// beginSettings are those of every transaction. A pooler in transaction mode
// gives each transaction another session, and the session to other programs
// afterwards: only settings that are local to the transaction hold, and all
// statements run in one.
//
// The timeouts are for a server that still works. They also end what a process
// left behind that was cut off in the middle of a transaction.
const beginSettings = `; SET LOCAL search_path = chatbackfill; SET LOCAL statement_timeout = '30s';
	SET LOCAL lock_timeout = '15s'; SET LOCAL idle_in_transaction_session_timeout = '60s'`

// answerLimit is how long to wait for a server that says nothing.
const answerLimit = 40 * time.Second

// stateConnector makes connections to the state store.
type stateConnector struct{ driver.Connector }

func (c stateConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, connectError(err)
	}
	return &stateConn{Conn: conn.(*stdlib.Conn)}, nil
}

// stateConn is a connection on which every statement runs in a transaction with
// beginSettings, of its own if none is under way.
type stateConn struct {
	*stdlib.Conn
	tx    pgx.Tx // the transaction under way, or nil
	stale bool   // the session must not write: a new one might
}

// IsValid reports whether the connection can be used again.
func (c *stateConn) IsValid() bool { return !c.stale && !c.Conn.Conn().IsClosed() }

// PrepareContext refuses: a prepared statement belongs to a session.
func (c *stateConn) PrepareContext(context.Context, string) (driver.Stmt, error) {
	return nil, errors.New("prepare a statement in Postgres: a pooler in transaction mode does not keep it")
}

// BeginTx begins a transaction.
func (c *stateConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	begin := "BEGIN"
	if level := sql.IsolationLevel(options.Isolation); level != sql.LevelDefault {
		begin += " ISOLATION LEVEL " + strings.ToUpper(level.String())
	}
	if options.ReadOnly {
		begin += " READ ONLY"
	}
	if err := c.begin(ctx, begin); err != nil {
		return nil, err
	}
	return &stateTx{ctx, c}, nil
}

func (c *stateConn) begin(ctx context.Context, begin string) error {
	if c.Conn.Conn().IsClosed() {
		return driver.ErrBadConn
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	tx, err := c.Conn.Conn().BeginTx(ctx, pgx.TxOptions{BeginQuery: begin + beginSettings})
	if err != nil && pgconn.SafeToRetry(err) {
		return driver.ErrBadConn
	}
	if err != nil {
		return c.judge(err)
	}
	c.tx = tx
	return nil
}

// commit ends the transaction. If the connection breaks meanwhile it may have
// been committed, or not.
func (c *stateConn) commit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	tx := c.tx
	c.tx = nil
	return c.judge(tx.Commit(ctx))
}

// rollback ends the transaction. A connection on which that fails is closed,
// which does the same.
func (c *stateConn) rollback() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	tx := c.tx
	c.tx = nil
	tx.Rollback(ctx)
}

// stateTx is the transaction that is under way on a connection.
type stateTx struct {
	ctx  context.Context
	conn *stateConn
}

func (tx *stateTx) Commit() error { return tx.conn.commit(tx.ctx) }

func (tx *stateTx) Rollback() error {
	tx.conn.rollback()
	return nil
}

// ExecContext executes a statement.
func (c *stateConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	alone := c.tx == nil
	if alone {
		if err := c.begin(ctx, "BEGIN"); err != nil {
			return nil, err
		}
	}
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	result, err := c.Conn.ExecContext(limited, query, args)
	switch {
	case err != nil && alone:
		c.rollback()
	case err == nil && alone:
		return result, c.commit(ctx)
	}
	return result, c.judge(err)
}

// QueryContext executes a query.
func (c *stateConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	r := &stateRows{ctx: ctx, conn: c, alone: c.tx == nil}
	if r.alone {
		if err := c.begin(ctx, "BEGIN"); err != nil {
			return nil, err
		}
	}
	ctx, r.cancel = context.WithCancel(ctx)
	r.watch = time.AfterFunc(answerLimit, r.cancel)
	rows, err := c.Conn.QueryContext(ctx, query, args)
	r.watch.Stop()
	if err != nil {
		r.cancel()
		if r.alone {
			c.rollback()
		}
		return nil, c.judge(err)
	}
	r.Rows = rows.(*stdlib.Rows)
	return r, nil
}

// stateRows are rows that are waited for answerLimit each. With the rows ends
// the transaction, if the query is alone in it.
type stateRows struct {
	*stdlib.Rows
	ctx    context.Context
	conn   *stateConn
	alone  bool
	watch  *time.Timer
	cancel context.CancelFunc
}

func (r *stateRows) Next(values []driver.Value) error {
	r.watch.Reset(answerLimit)
	defer r.watch.Stop()
	return r.conn.judge(r.Rows.Next(values))
}

func (r *stateRows) Close() error {
	r.watch.Reset(answerLimit)
	err := r.Rows.Close()
	r.watch.Stop()
	r.cancel()
	switch {
	case err != nil && r.alone:
		r.conn.rollback()
	case err == nil && r.alone:
		return r.conn.commit(r.ctx)
	}
	return r.conn.judge(err)
}
