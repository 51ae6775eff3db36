package extract

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pgOpener collects the mistakes of all sets while they are resolved.
type pgOpener struct {
	*Postgres
	latest  Time
	origins uint32
	lookups lookups
	errs    []error
}

// sets resolves the sets of one kind.
func (o *pgOpener) sets(ctx context.Context, kind string, sets []Set, specs []fieldSpec, extra []ExtraField) (all []*pgRelation, err error) {
	for i, set := range sets {
		c := o.compiler(setLabel(kind, sets, i), kind, set)
		c.specs, c.fields, c.extra = specs, set.Fields, extra
		r, err := o.describe(ctx, c, set)
		if err == nil {
			err = o.compile(ctx, c, r)
		}
		if err != nil {
			return nil, err
		}
		r.origin = o.origins
		o.origins++
		all = append(all, r)
	}
	return all, nil
}

func (o *pgOpener) compiler(label, kind string, set Set) *compiler {
	return &compiler{set: label, kind: kind, latest: o.latest, filter: set.Where, list: set.Nested, lookups: o.lookups, unfolds: true}
}

// describe finds a set's table, its columns and their types.
func (o *pgOpener) describe(ctx context.Context, c *compiler, set Set) (*pgRelation, error) {
	r := &pgRelation{label: c.set, kind: c.kind}
	checkPostgresSet(c, set)
	if len(c.errs) > 0 {
		return r, nil
	}
	err := o.inTransaction(ctx, pageTimeout, func(tx *pgTransaction) error { return r.resolve(ctx, tx, c, set) })
	if err = o.fault(err); err != nil {
		return nil, fmt.Errorf("look at %s: %w", c.set, err)
	}
	c.tables = []table{r.asTable()}
	return r, nil
}

// compile makes the mapping of a set that was described, and lets Postgres
// check the statements that will be used.
func (o *pgOpener) compile(ctx context.Context, c *compiler, r *pgRelation) error {
	if len(c.errs) == 0 {
		r.compile(c)
	}
	if len(c.errs) == 0 {
		err := o.inTransaction(ctx, pageTimeout, func(tx *pgTransaction) error {
			_, err := tx.explain(ctx, r.sample())
			return r.statementFault(c, err)
		})
		if err = o.fault(err); err != nil {
			return fmt.Errorf("look at %s: %w", c.set, err)
		}
	}
	o.errs = append(o.errs, c.errs...)
	return nil
}

func checkPostgresSet(c *compiler, set Set) {
	if len(set.Files) > 0 {
		c.fail("", "", "files is not available for this source", "name a table or a query")
	}
	if (set.Table == "") == (set.Query == "") {
		c.fail("", "", "one of table and query is needed", "name the table, or give a SELECT as query")
	}
}

func (r *pgRelation) resolve(ctx context.Context, tx *pgTransaction, c *compiler, set Set) error {
	var oid uint32
	if set.Table != "" {
		var err error
		if oid, err = r.findTable(ctx, tx, c, set.Table); err != nil || oid == 0 {
			return err
		}
	} else {
		r.name = "the query of " + r.label
		r.from = "(\n" + strings.TrimRight(set.Query, "; \t\r\n") + "\n) AS " + alias
	}
	return r.statementFault(c, r.describe(ctx, tx, oid))
}

// statementFault turns the database's refusal of a statement into a mistake of
// the set. What has to do with the connection is returned.
func (r *pgRelation) statementFault(c *compiler, err error) error {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || transient(err) {
		return err
	}
	problem, try := pgErr.Message, "try the query in psql"
	if !isContentFree(pgErr.Code) {
		problem = "it fails on the content of a row (SQLSTATE " + pgErr.Code + ")"
	}
	if pgErr.Code == "42501" {
		try = "let the role read it: GRANT SELECT ON … TO …"
	}
	c.fail("", "", fmt.Sprintf("%s cannot be read: %s", r.name, problem), try)
	return nil
}

// relationKinds are what can be read, and which of it is stored as a table.
var relationKinds = map[string]bool{"r": true, "p": true, "m": true, "v": false, "f": false}

const tableQuery = `
SELECT c.oid, n.nspname, c.relname, c.relkind::text, CASE WHEN c.relkind = 'p'
  THEN (SELECT coalesce(sum(greatest(l.reltuples, 0)), 0) FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf)
  ELSE greatest(c.reltuples, 0) END::float8
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass($1)`

// findTable resolves a name against the catalogue; 0 if there is no such table.
func (r *pgRelation) findTable(ctx context.Context, tx *pgTransaction, c *compiler, name string) (uint32, error) {
	for _, id := range tableNames(name) {
		var oid uint32
		var schema, table, kind string
		err := tx.QueryRow(ctx, tableQuery, id.Sanitize()).Scan(&oid, &schema, &table, &kind, &r.rows)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && table != id[len(id)-1] { // a name too long is cut
			continue
		}
		if err != nil {
			r.name = name
			return 0, r.statementFault(c, err)
		}
		stored, ok := relationKinds[kind]
		if !ok {
			c.fail("", "", fmt.Sprintf("%s is no table or view", name), "name one that can be read with SELECT")
			return 0, nil
		}
		r.name, r.table = schema+"."+table, stored
		r.from = pgx.Identifier{schema, table}.Sanitize() + " AS " + alias
		return oid, nil
	}
	tables, err := tx.texts(ctx, tablesQuery)
	if err != nil {
		return 0, err
	}
	c.fail("", "", "there is no table "+name, suggest(name, tables, "the tables"))
	return 0, nil
}

const tablesQuery = `
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname = ANY (current_schemas(false)) DESC, 1 LIMIT 1000`

// describe asks for the relation's columns and their types.
func (r *pgRelation) describe(ctx context.Context, tx *pgTransaction, table uint32) error {
	r.encoding = tx.Conn().PgConn().ParameterStatus("server_encoding")
	described, err := tx.Conn().PgConn().Prepare(ctx, "", "SELECT * FROM "+r.from, nil)
	if err != nil {
		return err
	}
	oids := make([]uint32, len(described.Fields))
	for i, f := range described.Fields {
		oids[i] = f.DataTypeOID
	}
	types, err := tx.types(ctx, oids)
	if err != nil {
		return err
	}
	collations, err := tx.collations(ctx, table)
	if err != nil {
		return err
	}
	for i, f := range described.Fields {
		col, err := tx.newColumn(ctx, f, types[f.DataTypeOID])
		if err != nil {
			return err
		}
		col.Column.index = i
		if at, ok := collations[f.TableAttributeNumber]; ok && table != 0 {
			col.collation, col.folds = at.name, at.folds
		}
		r.columns = append(r.columns, col)
	}
	return nil
}

func (tx *pgTransaction) newColumn(ctx context.Context, f pgconn.FieldDescription, t pgTypeInfo) (col *pgColumn, err error) {
	col = &pgColumn{
		Column: Column{Name: quotePart(f.Name), Type: TypeOther, Declared: t.Name},
		name:   f.Name, sql: quoted(f.Name), oid: f.DataTypeOID, typeName: t.Name,
		collation: "?", folds: true, isEnum: t.Kind == "e",
	}
	codec, known := pgCodecs[f.DataTypeOID]
	switch {
	case known:
		col.pgCodec = codec
	case t.hasParts():
		col.pgCodec, col.nested, col.sql = pgTextCodec, true, "to_json("+col.sql+")::text"
		if t.Of != 0 || t.Relation != 0 { // else it is known of the values only
			col.pgCodec = pgNestedCodec
			if col.shape, err = tx.shape(ctx, t); err == nil {
				col.hasRows = col.shape.hasRows()
			}
		}
	default:
		col.pgCodec = pgTextCodec
	}
	if col.isJSON() {
		col.sql = jsonSQL(col.sql, nil)
	}
	col.Type = col.typ
	return col, err
}

func quoted(column string) string { return pgx.Identifier{alias, column}.Sanitize() }

// pgCollation is the order of a column's texts.
type pgCollation struct {
	name  string // tells the order apart from that of other columns and versions
	folds bool
}

const collationsQuery = `
SELECT a.attnum, coalesce(l.oid::text || ' ' || coalesce(pg_collation_actual_version(l.oid), ''), ''), NOT coalesce(l.collisdeterministic, true)
FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped`

// collations returns those of a table's columns by their numbers.
func (tx *pgTransaction) collations(ctx context.Context, table uint32) (map[uint16]pgCollation, error) {
	found := map[uint16]pgCollation{}
	rows, err := tx.Query(ctx, collationsQuery, table)
	if err != nil {
		return nil, err
	}
	var number int16
	var at pgCollation
	_, err = pgx.ForEachRow(rows, []any{&number, &at.name, &at.folds}, func() error {
		found[uint16(number)] = at
		return nil
	})
	return found, err
}

func (tx *pgTransaction) texts(ctx context.Context, sql string) ([]string, error) {
	rows, err := tx.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
