package extract

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// Lookup is a small table whose rows expressions look up by their keys.
type Lookup struct {
	Set
	Key string // the column that rows are looked up by
}

// lookupFunction is what expressions call: lookup(NAME, key).
const lookupFunction = "lookup"

// lookups are a source's, by name.
type lookups map[string]*lookupTable

// lookupTable keeps the columns of its rows that expressions use.
type lookupTable struct {
	name  string
	names []string        // of all columns that can be used
	used  map[string]bool // those that expressions name
	all   bool            // an expression may use any
	open  bool            // there may be more columns: the rows are JSON
	rows  map[string]map[string]any
	size  int64 // of the rows, estimated
	limit int64
}

// find is the function that expressions call. There is no row for NULL.
func (l lookups) find(params ...any) (any, error) {
	name, _ := params[0].(string)
	table, ok := l[name]
	if !ok {
		return nil, errors.New("there is no such lookup")
	}
	v, ok := valueOf(params[1])
	if !ok {
		return nil, nil
	}
	var s Scratch
	key, bad := idText(v, &s)
	if row, ok := table.rows[key]; ok && bad == nil && key != "" {
		return row, nil
	}
	return nil, nil
}

// findLookups checks an expression's calls of lookup and notes which columns
// they use.
func (c *compiler) findLookups(x *source, root *ast.Node) {
	members := map[ast.Node]*ast.MemberNode{}
	ast.Walk(root, visitor(func(node *ast.Node) {
		if n, ok := (*node).(*ast.MemberNode); ok {
			base := n.Node
			if chain, ok := base.(*ast.ChainNode); ok {
				base = chain.Node
			}
			members[base] = n
		}
	}))
	ast.Walk(root, visitor(func(node *ast.Node) {
		call, ok := (*node).(*ast.CallNode)
		if !ok {
			return
		}
		if name, ok := call.Callee.(*ast.IdentifierNode); ok && name.Value == lookupFunction {
			c.useLookup(x, call, members[call])
		}
	}))
}

func (c *compiler) useLookup(x *source, call *ast.CallNode, member *ast.MemberNode) {
	if len(call.Arguments) != 2 {
		c.failAt(x, call, "lookup takes two arguments", `write lookup("NAME", key)`)
		return
	}
	name, ok := call.Arguments[0].(*ast.StringNode)
	if !ok {
		c.failAt(x, call.Arguments[0], "the name of a lookup must be a text in quotes", `write lookup("NAME", key)`)
		return
	}
	table, ok := c.lookups[name.Value]
	if !ok {
		try := "there are no lookups here: name them under lookups of the source"
		if len(c.lookups) > 0 {
			try = suggest(name.Value, slices.Sorted(maps.Keys(c.lookups)), "the lookups")
		}
		c.failAt(x, name, "there is no lookup "+name.Value, try)
		return
	}
	if table == nil {
		return
	}
	var property *ast.StringNode
	if member != nil {
		property, _ = member.Property.(*ast.StringNode)
	}
	switch {
	case property == nil && table.open:
		c.failAt(x, call, "the columns of the lookup "+name.Value+" are not known", `name the one that is wanted, as in lookup("NAME", key)?.name`)
	case property == nil:
		table.all = true
	case table.open:
		table.addName(property.Value)
		table.used[property.Value] = true
	case !slices.Contains(table.names, property.Value):
		c.failAt(x, property, fmt.Sprintf("the lookup %s has no column %s", name.Value, property.Value), suggest(property.Value, table.names, "its columns"))
	default:
		table.used[property.Value] = true
	}
}

// lookupFields are the fields of a lookup's mapping: its key, and the columns
// that expressions use, or those that its fields name.
func (t *lookupTable) lookupFields(l Lookup) ([]fieldSpec, map[string]Field) {
	specs := []fieldSpec{{name: "key", class: classID, required: true}}
	fields := map[string]Field{"key": {Column: l.Key}}
	for _, name := range t.names {
		if !t.all && !t.used[name] {
			continue
		}
		specs = append(specs, fieldSpec{name: lookupField(name), class: classLookup})
		f, ok := l.Fields[name]
		if !ok {
			f = Field{Column: quotePart(name)}
		}
		if f.Column == "" && f.Expr == "" && f.Value == nil {
			f.Column = quotePart(name)
		}
		fields[lookupField(name)] = f
	}
	return specs, fields
}

// lookupField keeps a column named key apart from the key.
func lookupField(name string) string { return "fields." + name }

// newLookupTable has the columns of the tables that it is read from, and the
// fields that are mapped for it.
func newLookupTable(name string, l Lookup, tables []table, limit int64) *lookupTable {
	t := &lookupTable{name: name, used: map[string]bool{}, rows: map[string]map[string]any{}, limit: limit}
	for _, from := range tables {
		if list, ok := from.resolve(l.Nested); ok {
			from, ok = from.elements(list, elementBase)
			t.open = t.open || ok && from.columns == nil
		}
		for _, col := range from.columns {
			plain, steps, ok := splitPath(col.Name)
			if ok && len(steps) == 0 && (col.Type != TypeOther || col.shape != nil) {
				t.addName(plain)
			}
		}
	}
	for _, field := range slices.Sorted(maps.Keys(l.Fields)) {
		t.addName(field)
		t.used[field] = true
	}
	return t
}

func (t *lookupTable) addName(name string) {
	if !slices.Contains(t.names, name) {
		t.names = append(t.names, name)
	}
}

// setLookups is the kind of a lookup's set.
const setLookups = "lookups"

// take adds what unfold gives of a row.
func (t *lookupTable) take(m *Mapping, row []Value, s *Scratch, bad *problem) error {
	keep := false
	if bad == nil {
		keep, bad = m.keeps(row, s)
	}
	if bad != nil {
		return &MappingError{Set: "lookups." + t.name, Problem: bad.detail, Try: "correct the expression, or the data"}
	}
	if !keep {
		return nil
	}
	return t.add(m, row, s)
}

// add takes a row that was opened. Rows whose key is missing or no id cannot be
// looked up. Of several with one key the greatest stays.
func (t *lookupTable) add(m *Mapping, row []Value, s *Scratch) error {
	s.failed = nil
	key, bad := m.fields[0].id(row, s)
	if bad != nil || key == "" {
		return nil
	}
	values := make(map[string]any, len(m.fields)-1)
	size := int64(len(key) + 100)
	for i := 1; i < len(m.fields); i++ {
		name := strings.TrimPrefix(m.fields[i].name, "fields.")
		v := m.fields[i].get(row, s)
		v.Str = strings.Clone(v.Str)
		values[name] = exprValue(v)
		size += int64(len(v.Str) + len(name) + 50)
		if v.Type == TypeOther {
			size += 4 * int64(len(v.Str)) // what it becomes takes more than its JSON
		}
	}
	if s.failed != nil {
		return &MappingError{Set: "lookups." + t.name, Problem: s.failed.detail, Try: "correct the expression, or the data"}
	}
	old, known := t.rows[key]
	if known && fmt.Sprint(old) >= fmt.Sprint(values) {
		return nil
	}
	if t.size += size; t.size > t.limit {
		return &MappingError{Set: "lookups." + t.name, Problem: fmt.Sprintf("its rows take more than the %d bytes that memory allows", t.limit),
			Try: "lookups are for small tables: leave out rows with where, name fewer columns, or raise memory"}
	}
	t.rows[strings.Clone(key)] = values
	return nil
}
