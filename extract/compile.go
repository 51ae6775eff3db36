package extract

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// compiler collects the mistakes of a set while its mappings are made.
type compiler struct {
	set    string // as errors call it
	kind   string // messages, conversations, agents
	specs  []fieldSpec
	fields map[string]Field
	extra  []ExtraField
	tables []table
	latest Time
	errs   []error

	filter  string  // the set's where
	list    string  // the set's nested
	lookups lookups // that expressions can use
	// unfolds says that the source calls unfold with its rows.
	unfolds bool
	bound   []boundTable
}

// compile returns one mapping for each table.
func (c *compiler) compile() []*Mapping {
	out := make([]*Mapping, len(c.tables))
	for i := range out {
		out[i] = &Mapping{set: c.kind, latest: c.latest, whole: map[int]bool{}}
	}
	c.bind(out)
	c.checkNames()
	for _, spec := range c.specs {
		field, named := c.fields[spec.name]
		c.addField(out, spec, field, named, func(m *Mapping, b binding) { m.fields = append(m.fields, b) })
	}
	for _, x := range c.extra {
		spec := fieldSpec{name: x.Name, class: classExtra}
		c.addField(out, spec, x.Field, true, func(m *Mapping, b binding) { m.extra = append(m.extra, b) })
	}
	if c.kind == SetMessages {
		roles, kinds := c.words()
		for _, m := range out {
			m.roles, m.kinds = roles, kinds
			m.texts = m.mappedTexts()
		}
	}
	if c.filter != "" {
		c.eachExpression(whereName, c.filter, false, out, func(i int, x *expression, _ reflect.Type) { out[i].where = x })
	}
	for _, m := range out {
		m.plant()
		if len(m.derived) > 0 && !c.unfolds {
			c.fail("", "", "paths into text are not available for this source", "cast the column to jsonb in a query")
			break
		}
	}
	return out
}

func (m *Mapping) mappedTexts() (texts []int) {
	for _, i := range messageTexts {
		if i < len(m.fields) && !m.fields[i].isNull() {
			texts = append(texts, i)
		}
	}
	return texts
}

// whereName is what errors call a set's where.
const whereName = "where"

// bind finds the list of a nested set in every table.
func (c *compiler) bind(out []*Mapping) {
	found := false
	for i := range c.tables {
		t := boundTable{table: c.tables[i]}
		if c.list != "" {
			var ok bool
			t, ok = c.nested(c.tables[i], out[i])
			found = found || ok
		}
		c.bound = append(c.bound, t)
	}
	if c.list != "" && !found && len(c.tables) > 0 && len(c.errs) == 0 {
		c.fail("nested", "", fmt.Sprintf("there is no column %s in %s", c.list, c.where()), c.suggestColumn(rowName+"."+c.list))
	}
}

// nested is the table of a list's elements. A table without the list has none.
func (c *compiler) nested(t table, m *Mapping) (boundTable, bool) {
	bound := boundTable{row: &t}
	bound.name = t.name
	bound.find = func(string) (Column, bool) { return Column{}, false }
	m.list = &nesting{name: c.list, slot: slotNone, inner: slotNone}
	list, ok := t.resolve(c.list)
	if !ok {
		return c.nestedTwice(bound, m)
	}
	elements, ok := t.elements(list, elementBase)
	if !ok || list.constant != nil {
		c.fail("nested", t.name, fmt.Sprintf("column %s is of type %s, no list of structs or JSON", list.Name, list.Declared), "name the list that holds the messages")
		return bound, false
	}
	bound.table = elements
	m.list.slot = m.slot(list)
	return bound, true
}

// nestedTwice is nested of a path that leads through one list to another that
// lies in its elements.
func (c *compiler) nestedTwice(bound boundTable, m *Mapping) (boundTable, bool) {
	name, steps, ok := splitPath(c.list)
	for n := len(steps) - 1; ok && n >= 0; n-- {
		list, found := bound.row.resolve(pathText(append([]jsonStep{{key: name}}, steps[:n]...)))
		if !found || list.shape == nil || list.shape.elem == nil {
			continue
		}
		outer, isTable := bound.row.elements(list, outerBase)
		inner, found := outer.resolve(pathText(steps[n:]))
		if !isTable || !found {
			break
		}
		elements, isTable := outer.elements(inner, elementBase)
		if !isTable {
			c.fail("nested", bound.name, fmt.Sprintf("%s is of type %s, no list of structs or JSON", c.list, inner.Declared), "name the list that holds the messages")
			break
		}
		bound.table, bound.outer = elements, &outer
		m.list.slot, m.list.inner = m.slot(list), m.slot(inner)
		return bound, true
	}
	return bound, false
}

func (c *compiler) fail(field, file, problem, try string) {
	c.errs = append(c.errs, &MappingError{Set: c.set, Field: field, File: file, Problem: problem, Try: try})
}

func (c *compiler) checkNames() {
	names := fieldNames(c.specs)
	for _, name := range slices.Sorted(maps.Keys(c.fields)) {
		if !slices.Contains(names, name) {
			c.fail(name, "", "there is no such field", suggest(name, names, "the fields of "+c.kind))
		}
	}
}

// addField binds one field in every table.
func (c *compiler) addField(out []*Mapping, spec fieldSpec, f Field, named bool, add func(*Mapping, binding)) {
	b, ok := c.binding(spec, f)
	switch {
	case !ok || f.Value != nil:
		for _, m := range out {
			add(m, b)
		}
	case f.Expr != "":
		c.addExpression(out, spec, f, b, add)
	default:
		c.addColumn(out, spec, f, b, named, add)
	}
}

func (c *compiler) addColumn(out []*Mapping, spec fieldSpec, f Field, b binding, named bool, add func(*Mapping, binding)) {
	path := f.Column
	if path == "" {
		path = spec.name
	}
	found := 0
	for i, m := range out {
		b := b
		if col, ok := c.column(&c.bound[i], spec, path, named); ok {
			found++
			b.slot, b.constant = m.bind(col)
			if b.slot >= 0 && col.shape != nil {
				m.whole[b.slot] = true
			}
			c.checkType(&c.bound[i], spec, f, col)
		}
		add(m, b)
	}
	if found == 0 && len(out) > 0 {
		c.missing(spec, f, path, named)
	}
}

// addExpression binds a field to what an expression yields.
func (c *compiler) addExpression(out []*Mapping, spec fieldSpec, f Field, b binding, add func(*Mapping, binding)) {
	refused := map[reflect.Type]bool{}
	made := make([]binding, len(out))
	for i := range made {
		made[i] = b
	}
	c.eachExpression(spec.name, f.Expr, f.Optional, out, func(i int, x *expression, result reflect.Type) {
		made[i].expr = x
		typ, ok := resultType(result)
		nested := typ == TypeOther && (spec.class == classExtra || spec.class == classLookup)
		if ok && (nested || takes(spec.class, typ, len(f.Values) > 0)) || refused[result] {
			return
		}
		refused[result] = true
		c.fail(spec.name, "", fmt.Sprintf("the expression yields %s, which %s cannot take", kindOfType(result), spec.name), "make it yield "+classTypes[spec.class])
	})
	for i, m := range out {
		add(m, made[i])
	}
}

// eachExpression compiles an expression for every table.
func (c *compiler) eachExpression(field, text string, optional bool, out []*Mapping, add func(i int, x *expression, result reflect.Type)) {
	x := c.parseExpression(field, text, optional)
	if x == nil {
		return
	}
	before := len(c.errs)
	if c.missingNames(x); len(c.errs) > before {
		return
	}
	for i, m := range out {
		if bound, result := c.expression(x, &c.bound[i], m); bound != nil {
			add(i, bound, result)
		}
	}
}

func (c *compiler) column(t *boundTable, spec fieldSpec, path string, named bool) (Column, bool) {
	if !named && spec.explicit {
		return Column{}, false
	}
	return t.resolve(path)
}

// bind returns where a column's value is found.
func (m *Mapping) bind(col Column) (slot int, constant Value) {
	if col.constant != nil {
		return slotConstant, *col.constant
	}
	return m.slot(col), Value{}
}

func (c *compiler) missing(spec fieldSpec, f Field, path string, named bool) {
	switch {
	case named && f.Optional && !spec.required:
	case named:
		c.fail(spec.name, "", fmt.Sprintf("there is no column %s in %s", path, c.where()), c.suggestColumn(path))
	case spec.required:
		c.fail(spec.name, "", fmt.Sprintf("the field is required, and %s has no column of that name", c.where()),
			"map it to a column, as in "+spec.name+": COLUMN; "+c.suggestColumn(path))
	}
}

// suggestColumn says which columns there are.
func (c *compiler) suggestColumn(path string) string {
	var names []string
	for i := range c.bound {
		for _, name := range c.bound[i].columnNames() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	try := suggest(path, names, "its columns")
	if col, ok := c.listAbove(path); ok {
		try = fmt.Sprintf("%s is a list: name one of its elements, as in %s[0]; ", col, col) + try
	}
	return try
}

// listAbove finds a list that a path leads through without saying to which of
// its elements.
func (c *compiler) listAbove(path string) (name string, ok bool) {
	for i := range c.bound {
		for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '.') {
			if col, ok := c.bound[i].resolve(path[:end]); ok && end < len(path) {
				return path[:end], col.shape != nil && col.shape.elem != nil
			}
		}
	}
	return "", false
}

func (c *compiler) where() string {
	if len(c.bound) == 1 {
		return c.bound[0].name
	}
	return fmt.Sprintf("any of %d files (%s, …)", len(c.tables), c.tables[0].name)
}
