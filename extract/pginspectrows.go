package extract

import (
	"context"
	"errors"
	"fmt"
)

// InspectPostgres looks at some rows of a table or query.
func InspectPostgres(ctx context.Context, cfg PostgresConfig, set Set) (*Table, error) {
	p, err := connectPostgres(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return inspect(ctx, p, set)
}

func (p *Postgres) outline(ctx context.Context, set Set) (table, int64, error) {
	r, err := p.relationOf(ctx, SetMessages, set, noField, nil)
	if err != nil {
		return table{}, 0, err
	}
	return r.asTable(), int64(r.rows), nil
}

func (p *Postgres) rows(ctx context.Context, set Set, extra []ExtraField, each func([]Value) bool) error {
	r, err := p.relationOf(ctx, SetMessages, set, noField, extra)
	if err != nil {
		return err
	}
	var s Scratch
	values := make([]Value, len(extra))
	statement := r.allRows()
	statement.sql += fmt.Sprintf(" LIMIT %d", inspectedRows)
	err = p.inspect(ctx, func(tx *pgTransaction) error {
		return r.read(ctx, tx, statement, &s, func(row []Value, _ bool) error {
			defer s.Reset()
			return r.mapping.unfold(row, &s, func(row []Value, _ int, bad *problem) error {
				if bad == nil && !each(r.mapping.extras(row, &s, values)) {
					return errEnough
				}
				return nil
			})
		})
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// TableOutline is a table of a database, and its columns.
type TableOutline struct {
	Name    string
	Columns []string
	Rows    int64 // about; 0: unknown
}

const outlinesQuery = `
SELECT c.oid::regclass::text, greatest(c.reltuples, 0)::int8, array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND has_table_privilege(c.oid, 'SELECT')
GROUP BY c.oid, n.nspname, c.reltuples ORDER BY n.nspname = ANY (current_schemas(false)) DESC, 1 LIMIT 1000`

// PostgresTables lists the tables and views of a database that can be read.
func PostgresTables(ctx context.Context, cfg PostgresConfig) (all []TableOutline, err error) {
	p, err := connectPostgres(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	err = p.inspect(ctx, func(tx *pgTransaction) error {
		all = nil
		rows, err := tx.Query(ctx, outlinesQuery)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var t TableOutline
			if err := rows.Scan(&t.Name, &t.Rows, &t.Columns); err != nil {
				return err
			}
			all = append(all, t)
		}
		return rows.Err()
	})
	return all, err
}
