package extract

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Statement is a statement of a pass, with what the database plans for it.
type Statement struct {
	Set  string // what it reads
	SQL  string
	Slow string // why it takes long; empty: it does not
	Try  string // the index to create
}

// SlowError says that every page would read a large table as a whole.
type SlowError struct{ Statements []Statement }

func (e *SlowError) Error() string {
	var lines []string
	for _, s := range e.Statements {
		lines = append(lines, fmt.Sprintf("read %s page by page: %s; try: %s", s.Set, s.Slow, s.Try))
	}
	return strings.Join(lines, "\n")
}

// defaultSlowRows is how many rows a page may scan or sort.
const defaultSlowRows = 1_000_000

// Explain returns the statements of a pass's pages. Nothing is read. Unless
// AllowSlow is set it is a [SlowError] if a page has to scan or sort more than
// a million rows by the database's estimate.
func (p *PostgresPass) Explain(ctx context.Context) ([]Statement, error) {
	var all []Statement
	err := p.retry(ctx, "the plans of statements", func() error {
		all = nil
		return p.inPage(ctx, func(tx *pgTransaction) (err error) {
			all, err = p.explain(ctx, tx)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("explain the statements: %w", err)
	}
	slow := &SlowError{}
	for _, s := range all {
		if s.Slow != "" {
			slow.Statements = append(slow.Statements, s)
		}
	}
	if len(slow.Statements) > 0 && !p.cfg.AllowSlow {
		return all, slow
	}
	return all, nil
}

func (p *PostgresPass) explain(ctx context.Context, tx *pgTransaction) (all []Statement, err error) {
	ids := p.messages[0]
	list := listIDs(p.relations(), p, "")
	if p.family != "" {
		if list, err = keysetIDs(p.relations(), nil, p.cfg.Page); err != nil {
			return nil, err
		}
	}
	listed, err := p.statement(ctx, tx, ids, list)
	if err != nil {
		return nil, err
	}
	if listed.Set = "the ids of conversations"; p.family == "" {
		listed.Slow, listed.Try = "", "" // it is read once, not page by page
	}
	all = append(all, listed)
	for _, r := range p.relations() {
		rows := r.sample()
		if p.family != "" {
			if rows, err = r.sampleSpan(); err != nil {
				return nil, err
			}
		}
		s, err := p.statement(ctx, tx, r, rows)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (p *PostgresPass) statement(ctx context.Context, tx *pgTransaction, r *pgRelation, s *pgStatement) (Statement, error) {
	plan, err := tx.explain(ctx, s)
	if err != nil {
		return Statement{}, err
	}
	out := Statement{Set: r.label, SQL: s.sql}
	return out, p.judge(ctx, tx, r, plan, &out)
}

// pgPlan is what is needed of a node of EXPLAIN (FORMAT JSON).
type pgPlan struct {
	Node     string  `json:"Node Type"`
	Schema   string  `json:"Schema"`
	Relation string  `json:"Relation Name"`
	Rows     float64 `json:"Plan Rows"`
	Plans    []pgPlan
}

func (tx *pgTransaction) explain(ctx context.Context, s *pgStatement) (pgPlan, error) {
	text, err := tx.oneText(ctx, &pgStatement{sql: "EXPLAIN (FORMAT JSON, VERBOSE) " + s.sql, params: s.params})
	if err != nil {
		return pgPlan{}, err
	}
	var plans []struct{ Plan pgPlan }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		return pgPlan{}, fmt.Errorf("read the plan of a statement: %w", err)
	}
	if len(plans) != 1 {
		return pgPlan{}, fmt.Errorf("read the plan of a statement: there are %d", len(plans))
	}
	return plans[0].Plan, nil
}

// judge looks for the first node of a plan that takes long.
func (p *PostgresPass) judge(ctx context.Context, tx *pgTransaction, r *pgRelation, plan pgPlan, out *Statement) error {
	switch plan.Node {
	case "Seq Scan":
		rows, err := tx.rowsOf(ctx, plan.Schema, plan.Relation)
		if err != nil {
			return err
		}
		if rows > p.slowRows {
			out.Slow = fmt.Sprintf("it scans all %.0f rows of %s.%s", rows, plan.Schema, plan.Relation)
		}
	case "Sort", "Incremental Sort":
		if plan.Rows > p.slowRows {
			out.Slow = fmt.Sprintf("it sorts %.0f rows", plan.Rows)
		}
	}
	for i := 0; i < len(plan.Plans) && out.Slow == ""; i++ {
		if err := p.judge(ctx, tx, r, plan.Plans[i], out); err != nil {
			return err
		}
	}
	if out.Slow != "" && out.Try == "" {
		out.Try = r.indexAdvice(plan)
	}
	return nil
}

func (tx *pgTransaction) rowsOf(ctx context.Context, schema, table string) (rows float64, err error) {
	name := pgx.Identifier{schema, table}.Sanitize()
	err = tx.QueryRow(ctx, `SELECT greatest(reltuples, 0)::float8 FROM pg_class WHERE oid = to_regclass($1)`, name).Scan(&rows)
	return rows, err
}

// indexAdvice is the statement that makes pages fast.
func (r *pgRelation) indexAdvice(plan pgPlan) string {
	column := strings.TrimPrefix(r.idColumn.sql, `"`+alias+`".`)
	switch {
	case r.table:
		table := strings.TrimSuffix(r.from, " AS "+alias)
		if r.idColumn.sql != quoted(r.idColumn.name) {
			column = "(" + strings.ReplaceAll(column, `"`+alias+`".`, "") + ")"
		}
		return fmt.Sprintf("CREATE INDEX CONCURRENTLY ON %s (%s)", table, column)
	case plan.Relation != "":
		return fmt.Sprintf("CREATE INDEX CONCURRENTLY ON %s (the column that %s has as %s)", pgx.Identifier{plan.Schema, plan.Relation}.Sanitize(), r.name, column)
	}
	return fmt.Sprintf("create an index on the column that %s has as %s", r.name, column)
}
