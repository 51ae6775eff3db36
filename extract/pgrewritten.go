package extract

import (
	"context"
	"errors"
)

// errRewritten is for a transaction that saw too little. TRUNCATE, ALTER TABLE
// where it writes a table anew, and a table that is put in another's place, or
// below a view, or among partitions, keep readers out while they work; those who
// began to wait before they were done see no rows after it, and no error: Postgres
// keeps these rows from snapshots that are older
// (https://www.postgresql.org/docs/current/mvcc-caveats.html).
var errRewritten = errors.New("a table was replaced or written anew while it was read")

// rewrittenSQL counts what the transaction has read of and that is, by now,
// stored elsewhere, called otherwise, a partition or another view than its snapshot
// says, or not yet known to it. What is locked stays as it is from here on. Of a
// view the snapshot shows the definition that was replaced after it, with the
// transaction that did so: 32 bits of it, the others are those of now.
const rewrittenSQL = `SELECT count(*)::text FROM pg_catalog.pg_locks AS l
	LEFT JOIN pg_catalog.pg_class AS c ON c.oid = l.relation LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
	WHERE l.locktype = 'relation' AND l.pid = pg_catalog.pg_backend_pid() AND (c.oid IS NULL
		OR c.relfilenode <> 0 AND c.relfilenode <> pg_catalog.pg_relation_filenode(c.oid)
		OR c.relkind IN ('r', 'p', 'm', 'v', 'f') AND c.oid::pg_catalog.regclass::text NOT IN (pg_catalog.quote_ident(c.relname),
			pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname))
		OR c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND pg_catalog.pg_partition_root(c.oid) <> c.oid
		OR c.relkind = 'v' AND EXISTS (SELECT FROM pg_catalog.pg_rewrite AS w, pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot()) AS now
			WHERE w.ev_class = c.oid AND pg_catalog.txid_status(
				now - ((now - nullif(w.xmax::text, '0')::int8 + 2147483648) & 4294967295) + 2147483648) = 'committed'))`

// checkSnapshot returns errRewritten if the transaction cannot see the rows of
// all that it has read. One in which a statement has failed does not tell.
func (tx *pgTransaction) checkSnapshot(ctx context.Context) error {
	if tx.Conn().PgConn().TxStatus() != 'T' {
		return nil
	}
	moved, err := tx.oneText(ctx, &pgStatement{sql: rewrittenSQL})
	if err == nil && moved != "0" {
		err = errRewritten
	}
	return err
}
