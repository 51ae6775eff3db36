package extract

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bound is how far a pass may read: all rows that say they changed before it
// can be seen, as far as the database shows its transactions.
type Bound struct {
	Upper Time // exclusive
	Now   Time // of the database's clock

	// What holds Upper back behind Now - settle, if something does: the oldest
	// other transaction that is open, by the process id of its connection, or
	// a prepared one, by its name.
	PID      int32
	Prepared string

	Standby bool // the server is one: transactions of the primary are not seen
	Hidden  int  // connections of other roles whose transactions we may not see
}

// heldBackLong is when a transaction that holds the bound back is worth a warning.
const heldBackLong = time.Hour

// Warning says what keeps recent rows from being read for more than an hour;
// empty if nothing does.
func (b *Bound) Warning() string {
	behind := b.Now.Sub(b.Upper).Round(time.Minute)
	switch {
	case behind <= heldBackLong:
		return ""
	case b.PID != 0:
		return fmt.Sprintf("the open transaction of process %d holds the upper bound back by %s: end it, or rows since then are not read", b.PID, behind)
	case b.Prepared != "":
		return fmt.Sprintf("the prepared transaction %q holds the upper bound back by %s: commit or roll it back, or rows since then are not read", b.Prepared, behind)
	}
	return ""
}

// NextLower is the lower bound of the pass after one between two bounds.
func NextLower(lower, upper Time, overlap time.Duration) Time {
	return max(lower, upper.Add(-overlap))
}

// statement_timestamp lies before the moment at which the view is read: a
// transaction that it does not show has begun after it. Vacuuming writes no rows.
const activityQuery = `
SELECT statement_timestamp(), pg_is_in_recovery(),
  (SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IS NULL AND backend_type = 'client backend')::int8,
  a.pid, a.xact_start
FROM (SELECT) AS one LEFT JOIN LATERAL (SELECT pid, xact_start FROM pg_stat_activity
  WHERE datname = current_database() AND application_name IS DISTINCT FROM $1 AND pid <> pg_backend_pid()
    AND xact_start IS NOT NULL AND backend_type IS DISTINCT FROM 'autovacuum worker'
  ORDER BY xact_start LIMIT 1) AS a ON true`

// preparedQuery is a statement of its own, after the other: a transaction that
// is prepared in between is in both, not in neither.
const preparedQuery = `
SELECT gid, prepared FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT 1`

// Bound takes the upper bound of a pass that starts now: the least of the
// database's clock less settle, the start of the oldest other open transaction
// of the database, and the oldest prepared transaction less overlap, which
// began before it was prepared.
func (p *Postgres) Bound(ctx context.Context) (Bound, error) {
	var b Bound
	err := p.retry(ctx, "the upper bound", func() error {
		return p.inTransaction(ctx, pageTimeout, func(tx *pgTransaction) (err error) {
			b, err = p.bound(ctx, tx)
			return err
		})
	})
	if err != nil {
		return Bound{}, fmt.Errorf("take the upper bound: %w", err)
	}
	if warning := b.Warning(); warning != "" {
		p.log.Warn(warning)
	}
	return b, nil
}

func (p *Postgres) bound(ctx context.Context, tx pgx.Tx) (b Bound, err error) {
	var now time.Time
	var pid *int32
	var started *time.Time
	if err := tx.QueryRow(ctx, activityQuery, applicationName).Scan(&now, &b.Standby, &b.Hidden, &pid, &started); err != nil {
		return Bound{}, err
	}
	b.Now = TimeOf(now)
	b.Upper = b.Now.Add(-p.cfg.Settle)
	if started != nil && TimeOf(*started) < b.Upper {
		b.Upper, b.PID = TimeOf(*started), *pid
	}
	var gid string
	var prepared time.Time
	switch err := tx.QueryRow(ctx, preparedQuery).Scan(&gid, &prepared); {
	case errors.Is(err, pgx.ErrNoRows):
	case err != nil:
		return Bound{}, err
	case TimeOf(prepared).Add(-p.cfg.Overlap) < b.Upper:
		b.Upper, b.PID, b.Prepared = TimeOf(prepared).Add(-p.cfg.Overlap), 0, gid
	}
	b.Upper -= b.Upper % Time(time.Microsecond) // what the database can tell apart
	return b, nil
}
