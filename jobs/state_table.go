package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The types of columns, whatever the database.
const (
	typeInteger = "integer"
	typeBoolean = "boolean" // an integer where the database has none
	typeText    = "text"
	typeBytes   = "bytes"
)

// tableColumn is a column of a table of the state store.
type tableColumn struct {
	Name string `json:"name"`
	Type string `json:"type"` // one of the constants above
}

// derivedColumn is a column that a database has beside those of the others,
// because of how it keeps the table: a function of one of them.
type derivedColumn struct {
	table, name  string
	function, of string
}

// rowSink takes the rows of tables, one table after the other.
type rowSink interface {
	table(ctx context.Context, name string, columns []tableColumn) error
	row(ctx context.Context, values []any) error
}

// tables returns all tables that hold state: jobs first, to which the others
// refer.
func (s *State) tables(ctx context.Context) ([]string, error) {
	all, err := queryColumn[string](ctx, s, s.dialect.tables)
	if err != nil {
		return nil, fmt.Errorf("list the tables of the state store: %w", err)
	}
	names := []string{"jobs"}
	for _, name := range all {
		// What goose_ tables hold is of this store, and so is where it went.
		if !strings.HasPrefix(name, "goose_") && !strings.HasPrefix(name, "sqlite_") && name != "jobs" && name != "moved" {
			names = append(names, name)
		}
	}
	slices.Sort(names[1:])
	return names, nil
}

// dump gives all state to a sink. Leases are given back in it.
func (s *State) dump(ctx context.Context, to rowSink) error {
	tables, err := s.tables(ctx)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := s.dumpTable(ctx, table, to); err != nil {
			return fmt.Errorf("read %s of the state store: %w", table, err)
		}
	}
	return nil
}

func (s *State) dumpTable(ctx context.Context, table string, to rowSink) error {
	rows, err := s.db.QueryContext(ctx, `SELECT * FROM `+table)
	if err != nil {
		return err
	}
	defer rows.Close()
	all, err := columnsOf(rows)
	if err != nil {
		return err
	}
	values, places := make([]any, len(all)), make([]any, len(all))
	var columns []tableColumn
	for i, c := range all {
		places[i] = new(any)
		if d := s.dialect.derived; d.table != table || d.name != c.Name {
			places[i] = &values[len(columns)]
			columns = append(columns, c)
		}
	}
	values = values[:len(columns)]
	if err := to.table(ctx, table, columns); err != nil {
		return err
	}
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return err
		}
		for i, c := range columns {
			if values[i], err = neutral(values[i], c.Type); err != nil {
				return fmt.Errorf("column %s: %w", c.Name, err)
			}
			if table == "leases" && c.Name == "expires_at" {
				values[i] = int64(0)
			}
			if table == "leases" && c.Name == "owner" {
				values[i] = ""
			}
		}
		if err := to.row(ctx, values); err != nil {
			return err
		}
	}
	return rows.Err()
}

func columnsOf(rows *sql.Rows) ([]tableColumn, error) {
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	columns := make([]tableColumn, len(types))
	for i, t := range types {
		columns[i] = tableColumn{t.Name(), map[string]string{
			"INTEGER": typeInteger, "INT8": typeInteger, "BOOL": typeBoolean,
			"TEXT": typeText, "BLOB": typeBytes, "BYTEA": typeBytes,
		}[t.DatabaseTypeName()]}
		if columns[i].Type == "" {
			return nil, fmt.Errorf("column %s has type %s, which no store has", t.Name(), t.DatabaseTypeName())
		}
	}
	return columns, nil
}

// neutral returns a value as an int64, bool, string or []byte, whatever the
// driver made of it.
func neutral(value any, kind string) (any, error) {
	switch v := value.(type) {
	case int64, bool:
		return v, nil
	case string:
		if kind == typeBytes {
			return []byte(v), nil
		}
		return v, nil
	case []byte:
		if kind == typeText {
			return string(v), nil
		}
		return append([]byte{}, v...), nil // an empty one is nil for some drivers
	}
	return nil, fmt.Errorf("a value of type %T", value)
}

// loader writes rows into a store in one transaction. Jobs get ids of this store.
type loader struct {
	store   *State
	tx      *sql.Tx
	jobs    map[int64]int64  // the id in this store by that in the rows
	read    map[string]int64 // rows by table
	name    string
	from    []tableColumn  // of the rows
	to      []tableColumn  // of the table, for those of from that are written
	keep    []int          // the places of these in from
	derived *derivedColumn // that the table has beside them; nil: none
	batch   []any
}

// loadBatch is how many rows are written in one statement.
const loadBatch = 100

func (l *loader) table(ctx context.Context, name string, columns []tableColumn) error {
	if err := l.flush(ctx); err != nil {
		return err
	}
	known, err := l.columns(ctx, name)
	if err != nil {
		return err
	}
	l.name, l.from, l.to, l.keep, l.derived = name, columns, nil, nil, nil
	if d := l.store.dialect.derived; d.table == name && slices.ContainsFunc(known, func(k tableColumn) bool { return k.Name == d.name }) {
		l.derived = &d
	}
	for i, c := range columns {
		at := slices.IndexFunc(known, func(k tableColumn) bool { return k.Name == c.Name })
		if at < 0 {
			return fmt.Errorf("table %s has no column %s", name, c.Name)
		}
		if c.Name == "id" && c.Type == typeInteger {
			continue
		}
		l.to, l.keep = append(l.to, known[at]), append(l.keep, i)
	}
	return nil
}

// columns returns the columns of a table that is a part of the state.
func (l *loader) columns(ctx context.Context, table string) ([]tableColumn, error) {
	tables, err := l.store.tables(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(tables, table) {
		return nil, fmt.Errorf("there is no table %q", table)
	}
	rows, err := l.tx.QueryContext(ctx, `SELECT * FROM `+table+` LIMIT 0`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := columnsOf(rows)
	if err != nil {
		return nil, err
	}
	return columns, rows.Err()
}

func (l *loader) row(ctx context.Context, values []any) error {
	l.read[l.name]++
	if l.name == "jobs" {
		return l.job(ctx, values)
	}
	for i, place := range l.keep {
		value := values[place]
		if l.to[i].Name == "job_id" {
			old, _ := value.(int64)
			id, known := l.jobs[old]
			if !known {
				return fmt.Errorf("a row of %s is of no job", l.name)
			}
			value = id
		}
		l.batch = append(l.batch, fitting(value, l.to[i].Type))
	}
	if len(l.batch) < loadBatch*len(l.to) {
		return nil
	}
	return l.flush(ctx)
}

// fitting returns a value as a column of a type takes it.
func fitting(value any, kind string) any {
	switch v := value.(type) {
	case int64:
		if kind == typeBoolean {
			return v != 0
		}
	case string:
		return storable(v)
	}
	return value
}

func (l *loader) flush(ctx context.Context) error {
	if len(l.batch) == 0 {
		return nil
	}
	_, err := l.tx.ExecContext(ctx, l.insert(len(l.batch)/len(l.to))+` ON CONFLICT DO NOTHING`, l.batch...)
	l.batch = l.batch[:0]
	if err != nil {
		return fmt.Errorf("write %s into the state store: %w", l.name, err)
	}
	return nil
}

// insert returns the statement that writes so many rows.
func (l *loader) insert(rows int) string {
	var names []string
	for _, c := range l.to {
		names = append(names, c.Name)
	}
	columns := len(names)
	if l.derived != nil {
		names = append(names, l.derived.name)
	}
	all := make([]string, rows)
	for row := range all {
		var values []string
		for i := range columns {
			values = append(values, fmt.Sprintf(`$%d`, row*columns+i+1))
		}
		if l.derived != nil {
			of := slices.Index(names, l.derived.of)
			values = append(values, l.derived.function+`(`+values[of]+`)`)
		}
		all[row] = `(` + strings.Join(values, `, `) + `)`
	}
	return `INSERT INTO ` + l.name + ` (` + strings.Join(names, `, `) + `) VALUES ` + strings.Join(all, `, `)
}

// job writes a job, which the store must not have.
func (l *loader) job(ctx context.Context, values []any) error {
	named := make(map[string]any)
	for i, c := range l.from {
		named[c.Name] = values[i]
	}
	old, numbered := named["id"].(int64)
	if !numbered {
		return errors.New("a job has no id")
	}
	var has int
	err := l.tx.QueryRowContext(ctx, `SELECT count(*) FROM jobs WHERE name = $1 AND label = $2`, named["name"], named["label"]).Scan(&has)
	if err != nil {
		return err
	}
	if has > 0 {
		return &Error{Exit: ExitDiffers,
			Err: fmt.Errorf("%s has state of job %v into %v already: two states of one job cannot be put together", l.store.place, named["name"], named["label"]),
			Try: "another store, or a new one"}
	}
	var written []any
	for i, place := range l.keep {
		written = append(written, fitting(values[place], l.to[i].Type))
	}
	var id int64
	if err := l.tx.QueryRowContext(ctx, l.insert(1)+` RETURNING id`, written...).Scan(&id); err != nil {
		return fmt.Errorf("write job %v into the state store: %w", named["name"], err)
	}
	l.jobs[old] = id
	return nil
}

// check compares how many rows were read with how many are there.
func (l *loader) check(ctx context.Context) error {
	if err := l.flush(ctx); err != nil {
		return err
	}
	for table, read := range l.read {
		if table == "jobs" || table == "suppressed" { // of a name, and what another job of that name has stays
			continue
		}
		var there int64
		for _, id := range l.jobs {
			var n int64
			if err := l.tx.QueryRowContext(ctx, `SELECT count(*) FROM `+table+` WHERE job_id = $1`, id).Scan(&n); err != nil {
				return fmt.Errorf("count %s of the state store: %w", table, err)
			}
			there += n
		}
		if there != read {
			return fmt.Errorf("compare the stores: %d of %d rows of %s have arrived", there, read, table)
		}
	}
	return nil
}
