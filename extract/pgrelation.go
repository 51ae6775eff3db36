package extract

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// pgRelation is a table or query of a set, resolved, with its mapping.
type pgRelation struct {
	label  string // of the set, as errors call it
	kind   string // messages, conversations, agents
	name   string // of the table, as locators have it
	from   string // what stands after FROM; its alias is q
	table  bool   // a stored table, not a view or query
	rows   float64
	origin uint32

	columns  []*pgColumn // those of the relation, then paths into them
	mapping  *Mapping
	selected []*pgColumn // in the order of the mapping's columns
	list     string      // the select list

	idPath   string    // where the job finds conversation_id
	idColumn *pgColumn // conversation_id
	id       pgIDKind
	prefix   string
	changed  *pgChanged // nil: cannot select by changed_at
	unended  *Mapping   // of conversations: without ended_at
	encoding string     // of the database
	filter   pgFilter   // what Postgres judges of the where
	judged   bool       // rows end with whether the filter is true of them
}

// pgColumn is a column of a relation, or a path into one.
type pgColumn struct {
	Column
	pgCodec
	sql       string
	name      string // as the catalogue has it
	oid       uint32 // of the type of the result
	typeName  string
	collation string // of a stored column of text: names its order; "?" if it is not known
	folds     bool   // texts that differ may be equal
	path      bool
	isEnum    bool
	nested    bool // an array or a row, as JSON
	hasRows   bool // it is a row, or has such as parts
}

func (col *pgColumn) isCitext() bool {
	return col.typeName == "citext" || strings.HasSuffix(col.typeName, ".citext")
}

func (col *pgColumn) isJSON() bool { return col.oid == pgtype.JSONOID || col.oid == pgtype.JSONBOID }

// resultOID is the type that Postgres says the selected value has.
func (col *pgColumn) resultOID() uint32 {
	if col.isJSON() || col.nested {
		return pgtype.TextOID
	}
	return col.oid
}

// alias is what statements call every relation.
const alias = "q"

// asTable is the relation as a mapping sees it.
func (r *pgRelation) asTable() table {
	var columns []Column
	for _, col := range r.columns {
		columns = append(columns, col.Column)
	}
	return table{name: r.name, columns: columns, find: r.find}
}

// find returns the column of a name, and the end of the path by which Postgres
// has to find conversations. Other paths are followed after reading.
func (r *pgRelation) find(path string) (Column, bool) {
	for _, col := range r.columns {
		if col.Column.Name == path || col.Column.Name == quotePart(path) {
			return col.Column, true
		}
	}
	name, steps, ok := splitPath(path)
	i := slices.IndexFunc(r.columns, func(col *pgColumn) bool { return col.name == name && !col.path })
	switch {
	case !ok || i < 0:
		return Column{}, false
	case len(steps) == 0:
		return r.columns[i].Column, true
	case path != r.idPath || !r.columns[i].isJSON():
		return Column{}, false
	}
	end := *r.columns[i]
	end.Column = Column{Name: path, Type: TypeText, Declared: end.typeName, index: len(r.columns)}
	end.sql, end.path = jsonSQL(quoted(end.name), steps), true
	r.columns = append(r.columns, &end)
	return end.Column, true
}

// compile makes the mapping and all that statements need.
func (r *pgRelation) compile(c *compiler) {
	if r.idPath = c.fields[c.specs[0].name].Column; c.list != "" {
		r.idPath = strings.TrimPrefix(r.idPath, rowName+".")
	}
	before := len(c.errs)
	r.mapping = c.compile()[0]
	if len(c.errs) > before {
		return
	}
	list := []string{"NULL"} // a row counts even if nothing of it is needed
	for _, col := range r.mapping.Columns {
		selected := r.columns[col.index]
		r.selected = append(r.selected, selected)
		list = append(list, selected.sql)
		r.checkUnique(c, selected)
	}
	if len(r.selected) > 0 {
		list = list[1:]
	}
	r.list = strings.Join(list, ", ")
	if r.kind == SetMessages || r.kind == SetConversations {
		r.compileID(c)
		r.compileTimes()
	}
	r.compileFilter(c.list != "")
}

// checkUnique reports a name that several columns of a query have.
func (r *pgRelation) checkUnique(c *compiler, col *pgColumn) {
	n := 0
	for _, other := range r.columns {
		if other.name == col.name && !other.path {
			n++
		}
	}
	if n > 1 {
		c.fail("", "", fmt.Sprintf("%s yields %d columns named %s", r.name, n, col.name), "give each a name of its own with AS")
	}
}

// compileID finds out how the conversations' ids are paged through.
func (r *pgRelation) compileID(c *compiler) {
	field := c.specs[0].name
	f := c.fields[field]
	if len(f.Values) > 0 || f.Default != nil {
		c.fail(field, "", "values and default are not available for it: rows are found by it", "map it in a query")
		return
	}
	slot := r.mapping.fields[0].slot
	if slot < 0 {
		c.fail(field, "", "it must be a column, or lie in one of type json or jsonb: rows are found by it", "cast the column to jsonb in a query, or name a column of the row")
		return
	}
	r.prefix = f.Prefix
	r.idColumn = r.selected[slot]
	kind, ok := r.idColumn.idKind()
	if !ok {
		c.fail(field, "", fmt.Sprintf("column %s is of type %s, by which rows cannot be found", r.idColumn.Name, r.idColumn.typeName),
			"name a column of text, integers, numeric, uuid or bytea, or cast it in a query")
		return
	}
	r.id = kind
}

// idKind is how the column is used as a conversation's id.
func (col *pgColumn) idKind() (pgIDKind, bool) {
	if col.isCitext() {
		return citextID(col.typeName), true
	}
	kind, ok := pgIDKinds[col.resultOID()]
	switch {
	case col.path || col.collation == "?":
		kind.family = ""
	case kind.family == "text" && col.folds:
		kind.family = ""
	case kind.family == "text":
		kind.family += ":" + col.collation
	}
	kind.loose = kind.loose || col.folds && kind.cast == "text"
	return kind, ok
}

// compileTimes finds out whether rows can be selected by when they changed.
func (r *pgRelation) compileTimes() {
	changed := fChangedAt
	if r.kind == SetConversations {
		changed = cChangedAt
		m := *r.mapping
		m.fields = slices.Clone(m.fields)
		m.fields[cEndedAt] = binding{slot: slotNone, name: m.fields[cEndedAt].name}
		r.unended = &m
	}
	if b := &r.mapping.fields[changed]; b.slot >= 0 {
		r.changed = newChanged(r.selected[b.slot], b.times)
	}
}

// pgChanged selects rows by when they changed. It may select too many.
type pgChanged struct {
	column *pgColumn
	infine string // the rest of the condition: times that are no time
	cast   string
	text   func(t Time, margin time.Duration) string
	margin time.Duration // how far a row's time may be from what Postgres compares
}

// newChanged returns nil for columns that cannot be compared with a time as
// they are.
func newChanged(col *pgColumn, times timeReader) *pgChanged {
	c := &pgChanged{column: col, infine: " OR " + col.sql + " IN ('infinity', '-infinity')"}
	wall := func(t Time, margin time.Duration) string { return pgWallTime(t.Add(margin), times.zone) }
	if times.zone != nil {
		c.margin = foldMargin
	}
	switch col.oid {
	case pgtype.TimestamptzOID:
		c.margin = 0
		c.cast = "timestamptz"
		c.text = func(t Time, _ time.Duration) string { return pgInstant(t) }
	case pgtype.TimestampOID:
		c.cast, c.text = "timestamp", wall
	case pgtype.DateOID:
		c.margin += 24 * time.Hour // a row changed at any time of its day
		c.cast, c.text = "timestamp", wall
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		if times.unit == 0 {
			return nil
		}
		c.infine, c.margin = "", time.Duration(1e9/int64(times.unit))
		c.cast = "int8"
		c.text = func(t Time, margin time.Duration) string {
			sec, nsec := splitUnits(int64(t.Add(margin)), 1e9)
			return fmt.Sprint(sec*int64(times.unit) + nsec/int64(c.margin))
		}
	default:
		return nil
	}
	return c
}

// foldMargin is more than clocks are put back by: what they show is then no
// longer in the order of time.
const foldMargin = 3 * time.Hour

// pgInstant and pgWallTime print times for Postgres, which has microseconds.
func pgInstant(t Time) string { return t.Time().Format("2006-01-02 15:04:05.000000+00") }

func pgWallTime(t Time, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	return t.Time().In(zone).Format("2006-01-02 15:04:05.000000")
}

// where is the condition that selects rows with a change in [lower, upper), and
// those that do not say.
func (c *pgChanged) where(s *pgStatement, lower, upper Time) string {
	low := s.arg(c.text(lower, -c.margin), c.cast)
	high := s.arg(c.text(upper, c.margin), c.cast)
	return fmt.Sprintf("(%[1]s >= %[2]s AND %[1]s < %[3]s OR %[1]s IS NULL%[4]s)", c.column.sql, low, high, c.infine)
}
