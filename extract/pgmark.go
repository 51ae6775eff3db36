package extract

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// PostgresMark is what a database is recognised by when it is opened again, and
// how far it had come. What the server does not show is zero.
type PostgresMark struct {
	Cluster     string `json:"cluster,omitempty"`     // its system identifier, which standbys and physical backups keep
	Database    uint32 `json:"database,omitempty"`    // the oid in the cluster, which a database keeps when it is renamed
	Transaction int64  `json:"transaction,omitempty"` // those that had ended are below it
	Standby     bool   `json:"-"`                     // it may be behind
}

// lostByCrash is how many transactions fewer a server may show after a crash or
// a failover: the last ones may not have reached the disk, or the standby.
const lostByCrash = 10_000

// Difference says what shows that a database is another one than that of an
// earlier mark, or an earlier state of it. Empty: nothing does.
func (m PostgresMark) Difference(earlier PostgresMark) string {
	switch {
	case m.Cluster != "" && earlier.Cluster != "" && m.Cluster != earlier.Cluster:
		return fmt.Sprintf("the system identifier of its cluster is %s, and was %s", m.Cluster, earlier.Cluster)
	case m.Database != 0 && earlier.Database != 0 && m.Database != earlier.Database:
		return fmt.Sprintf("its oid is %d, and was %d", m.Database, earlier.Database)
	case !m.Standby && m.Transaction != 0 && m.Transaction < earlier.Transaction-lostByCrash:
		return fmt.Sprintf("its transactions have come to %d, and had come to %d", m.Transaction, earlier.Transaction)
	}
	return ""
}

// Since returns the mark with what only an earlier one of the database shows.
func (m PostgresMark) Since(earlier PostgresMark) PostgresMark {
	if m.Cluster == "" {
		m.Cluster = earlier.Cluster
	}
	if m.Database == 0 {
		m.Database = earlier.Database
	}
	m.Transaction = max(m.Transaction, earlier.Transaction)
	return m
}

const (
	clusterQuery = `SELECT system_identifier::text FROM pg_control_system()`

	// The transaction has its epoch in the upper half: it does not wrap.
	databaseQuery = `SELECT oid, txid_snapshot_xmax(txid_current_snapshot()), pg_is_in_recovery() FROM pg_database WHERE datname = current_database()`
)

// Mark returns what the database is recognised by, as far as the server shows
// it: some services keep it from the role.
func (p *Postgres) Mark(ctx context.Context) (m PostgresMark, err error) {
	if err := p.mayShow(ctx, clusterQuery, &m.Cluster); err != nil {
		return m, err
	}
	return m, p.mayShow(ctx, databaseQuery, &m.Database, &m.Transaction, &m.Standby)
}

// mayShow scans the row of a query, unless the server refuses to answer it.
func (p *Postgres) mayShow(ctx context.Context, query string, values ...any) error {
	err := p.retry(ctx, "what the database is recognised by", func() error {
		return p.inTransaction(ctx, pageTimeout, func(tx *pgTransaction) error {
			return tx.QueryRow(ctx, query).Scan(values...)
		})
	})
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && !transient(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look what the database is recognised by: %w", err)
	}
	return nil
}
