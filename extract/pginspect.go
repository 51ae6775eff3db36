package extract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// PostgresServer is what a source is connected to, as whom.
type PostgresServer struct {
	Version, Database, Role string
	Superuser               bool
	Writable                []string // tables of the job's that the role could write
	Hiding                  []string // sets of which row security may keep rows from the role
}

// Server returns what the source is connected to, and what the role may do
// beyond reading.
func (p *Postgres) Server(ctx context.Context) (s PostgresServer, err error) {
	err = p.inspect(ctx, func(tx *pgTransaction) error {
		err := tx.QueryRow(ctx, `SELECT split_part(current_setting('server_version'), ' ', 1), current_database(), current_user,
			coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), false)`).Scan(&s.Version, &s.Database, &s.Role, &s.Superuser)
		if err != nil {
			return err
		}
		s.Writable, err = p.writable(ctx, tx)
		return err
	})
	if err == nil {
		s.Hiding, err = p.hiding(ctx)
	}
	return s, err
}

// inspect calls do with a transaction in which something is looked up that no
// run needs.
func (p *Postgres) inspect(ctx context.Context, do func(tx *pgTransaction) error) error {
	return p.fault(p.inTransaction(ctx, pageTimeout, do))
}

// writable lists the tables behind all sets that the role could write.
func (p *Postgres) writable(ctx context.Context, tx *pgTransaction) (tables []string, err error) {
	for _, r := range slices.Concat(p.messages, p.others, p.agents) {
		plan, err := tx.explain(ctx, r.sample())
		if err != nil {
			return nil, err
		}
		for _, name := range plan.relations() {
			var may bool
			err := tx.QueryRow(ctx, `SELECT coalesce(has_table_privilege(to_regclass($1), 'INSERT, UPDATE, DELETE, TRUNCATE'), false)`, name.Sanitize()).Scan(&may)
			if err != nil {
				return nil, err
			}
			if shown := strings.Join(name, "."); may && !slices.Contains(tables, shown) {
				tables = append(tables, shown)
			}
		}
	}
	return tables, nil
}

// hiding lists the sets that the role could not read whole: with row security
// off, Postgres refuses a statement rather than leave rows out.
func (p *Postgres) hiding(ctx context.Context) (sets []string, err error) {
	for _, r := range slices.Concat(p.messages, p.others, p.agents) {
		err := p.inTransactionWith(ctx, pageTimeout, "; SET LOCAL row_security = off", func(tx *pgTransaction) error {
			_, err := tx.explain(ctx, r.sample())
			return err
		})
		var refused *pgconn.PgError
		switch {
		case errors.As(err, &refused) && refused.Code == "42501": // insufficient_privilege
			sets = append(sets, r.name)
		case err != nil:
			return nil, p.fault(err)
		}
	}
	return sets, nil
}

// relations are the tables that a plan reads.
func (plan *pgPlan) relations() (names []pgx.Identifier) {
	if plan.Relation != "" {
		names = append(names, pgx.Identifier{plan.Schema, plan.Relation})
	}
	for i := range plan.Plans {
		names = append(names, plan.Plans[i].relations()...)
	}
	return names
}

// MissingIndex is a column of a table by which rows are found, and which no
// index begins with.
type MissingIndex struct {
	Table, Column string
	Rows          float64 // of the table, about; 0: nobody has counted them
	Field         string  // conversation_id or changed_at
	Create        string  // the statement that creates it
}

const indexedQuery = `
SELECT EXISTS (SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = to_regclass($1) AND a.attname = $2 AND i.indisvalid AND i.indpred IS NULL)`

// MissingIndexes lists the columns that should have an index and have none.
// Those that are found by an expression are not looked at: see
// [PostgresPass.Explain].
func (p *Postgres) MissingIndexes(ctx context.Context) (missing []MissingIndex, err error) {
	err = p.inspect(ctx, func(tx *pgTransaction) error {
		missing = nil
		for _, r := range p.relations() {
			needed := map[string]*pgColumn{"conversation_id": r.idColumn}
			if r.changed != nil && p.Incremental() {
				needed["changed_at"] = r.changed.column
			}
			for _, field := range []string{"conversation_id", "changed_at"} {
				col := needed[field]
				if col == nil || !r.table || col.sql != quoted(col.name) {
					continue
				}
				table := strings.TrimSuffix(r.from, " AS "+alias)
				var indexed bool
				if err := tx.QueryRow(ctx, indexedQuery, table, col.name).Scan(&indexed); err != nil {
					return err
				}
				if !indexed {
					missing = append(missing, MissingIndex{Table: r.name, Column: col.name, Rows: r.rows, Field: field,
						Create: fmt.Sprintf("CREATE INDEX CONCURRENTLY ON %s (%s)", table, pgx.Identifier{col.name}.Sanitize())})
				}
			}
		}
		return nil
	})
	return missing, err
}
