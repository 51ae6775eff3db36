package extract

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Column is a column of a source as a mapping sees it.
type Column struct {
	Name     string // structs' members with dots, "a.b"
	Type     Type
	Declared string // the source's name of the type, for errors
	index    int    // where the source finds it
}

// table is one file or relation of a set: its columns and what to call it.
type table struct {
	name    string
	columns []Column
	find    func(path string) (Column, bool)
}

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
}

// compile returns one mapping for each table.
func (c *compiler) compile() []*Mapping {
	out := make([]*Mapping, len(c.tables))
	for i := range out {
		out[i] = &Mapping{set: c.kind, latest: c.latest}
	}
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
		}
	}
	return out
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
	if !ok || f.Value != nil {
		for _, m := range out {
			add(m, b)
		}
		return
	}
	path := f.Column
	if path == "" {
		path = spec.name
	}
	found := 0
	for i, m := range out {
		b := b
		if col, ok := c.column(c.tables[i], spec, path, named); ok {
			found++
			b.slot = m.slot(col)
			c.checkType(c.tables[i], spec, f, col)
		}
		add(m, b)
	}
	if found == 0 && len(out) > 0 {
		c.missing(spec, f, path, named)
	}
}

func (c *compiler) column(t table, spec fieldSpec, path string, named bool) (Column, bool) {
	if !named && spec.explicit {
		return Column{}, false
	}
	return t.find(path)
}

// slot returns the row's index of a column, adding the column if it is new.
func (m *Mapping) slot(col Column) int {
	for i := range m.Columns {
		if m.Columns[i].index == col.index && m.Columns[i].Name == col.Name {
			return i
		}
	}
	m.Columns = append(m.Columns, col)
	return len(m.Columns) - 1
}

func (c *compiler) missing(spec fieldSpec, f Field, path string, named bool) {
	var names []string
	for _, t := range c.tables {
		for _, col := range t.columns {
			if !slices.Contains(names, col.Name) {
				names = append(names, col.Name)
			}
		}
	}
	try := suggest(path, names, "its columns")
	if strings.ContainsAny(path, "[]") {
		try = "elements of lists cannot be named in a path of this source; " + try
	}
	switch {
	case named && f.Optional && !spec.required:
	case named:
		c.fail(spec.name, "", fmt.Sprintf("there is no column %s in %s", path, c.where()), try)
	case spec.required:
		c.fail(spec.name, "", fmt.Sprintf("the field is required, and %s has no column of that name", c.where()),
			"map it to a column, as in "+spec.name+": COLUMN; "+try)
	}
}

func (c *compiler) where() string {
	if len(c.tables) == 1 {
		return c.tables[0].name
	}
	return fmt.Sprintf("any of %d files (%s, …)", len(c.tables), c.tables[0].name)
}

// binding makes what is the same in all tables; false if the field is unusable.
func (c *compiler) binding(spec fieldSpec, f Field) (binding, bool) {
	before := len(c.errs)
	b := binding{slot: slotNone, name: spec.name, values: f.Values, fallback: f.Default, prefix: f.Prefix}
	if len(b.values) == 0 {
		b.values = nil
	}
	if f.Value != nil {
		b.slot, b.constant = slotConstant, textValue(*f.Value)
	}
	c.checkSources(spec, f)
	c.checkOptions(spec, f)
	b.times = c.timeReader(spec, f)
	return b, len(c.errs) == before
}

func (c *compiler) checkSources(spec fieldSpec, f Field) {
	switch {
	case f.Expr != "":
		c.fail(spec.name, "", "expr is not available for this source", "name a column, with values if its values need mapping")
	case f.Value != nil && f.Column != "":
		c.fail(spec.name, "", "value and column exclude each other", "keep one of them")
	case f.Value != nil && spec.class != classWord && spec.required:
		c.fail(spec.name, "", "a constant cannot be used for it", "name a column")
	}
}

func (c *compiler) checkOptions(spec fieldSpec, f Field) {
	if f.Prefix != "" && spec.class != classID {
		c.fail(spec.name, "", "prefix is for ids only", "remove it")
	}
	if strings.IndexByte(f.Prefix, separator) >= 0 {
		c.fail(spec.name, "", "the prefix contains the byte 0x1F, which no id can contain", "use another separator")
	}
	if (f.Unit != "" || f.Timezone != "") && spec.class != classTime {
		c.fail(spec.name, "", "unit and timezone are for times only", "remove them")
	}
}

func (c *compiler) timeReader(spec fieldSpec, f Field) timeReader {
	unit, ok := timeUnits[f.Unit]
	if !ok {
		c.fail(spec.name, "", fmt.Sprintf("unknown unit %q", f.Unit), "use s, ms, us or ns")
	}
	if f.Timezone == "" || f.Timezone == "UTC" {
		return timeReader{unit: unit}
	}
	zone, err := time.LoadLocation(f.Timezone)
	if err != nil || f.Timezone == "Local" {
		c.fail(spec.name, "", fmt.Sprintf("unknown timezone %q", f.Timezone), "use an IANA name such as Europe/Berlin")
	}
	return timeReader{unit: unit, zone: zone}
}

// checkType reports a column whose type the field cannot take.
func (c *compiler) checkType(t table, spec fieldSpec, f Field, col Column) {
	if takes(spec.class, col.Type, len(f.Values) > 0) {
		return
	}
	try := "name a column of " + classTypes[spec.class]
	if col.Type == TypeOther {
		if members := under(t.columns, col.Name); len(members) > 0 {
			try += "; its members are " + strings.Join(members[:min(20, len(members))], ", ")
		}
	}
	c.fail(spec.name, t.name, fmt.Sprintf("column %s is of type %s, which %s cannot take", col.Name, col.Declared, spec.name), try)
}

func under(columns []Column, name string) (members []string) {
	for _, col := range columns {
		if strings.HasPrefix(col.Name, name+".") {
			members = append(members, col.Name)
		}
	}
	return members
}

var classTypes = [...]string{
	classID:     "text, integers, decimals, doubles, UUIDs or binary",
	classText:   "any simple type",
	classTime:   "timestamps, dates, numbers or text",
	classWord:   "text, numbers or booleans",
	classNumber: "numbers or text",
	classFlag:   "booleans, numbers, text or timestamps",
	classExtra:  "any simple type",
}

// takes reports whether a field can be read from a column. With values any
// simple type will do, for they compare as text.
func takes(class fieldClass, t Type, values bool) bool {
	switch {
	case t == TypeOther:
		return false
	case t == TypeNull || values:
		return true
	}
	isTime := t == TypeInstant || t == TypeWallTime || t == TypeDate
	isBytes := t == TypeBinary || t == TypeUUID
	switch class {
	case classID:
		return !isTime && t != TypeBool
	case classTime:
		return !isBytes && t != TypeBool
	case classWord:
		return !isTime && !isBytes
	case classNumber:
		return !isTime && !isBytes && t != TypeBool
	case classFlag:
		return !isBytes
	}
	return true
}

// words are what the values of role and kind may be.
func (c *compiler) words() (map[string]Role, map[string]Kind) {
	return wordsOf(c, "role", RoleNames(), ParseRole), wordsOf(c, "kind", KindNames(), ParseKind)
}

func wordsOf[T any](c *compiler, field string, names []string, parse func(string) (T, bool)) map[string]T {
	words := map[string]T{}
	for _, name := range names {
		words[name], _ = parse(name)
	}
	f := c.fields[field]
	check := func(what, to string) (T, bool) {
		word, ok := parse(to)
		if !ok {
			c.fail(field, "", fmt.Sprintf("%s %q is no %s", what, to, field), suggest(to, names, "they"))
		}
		return word, ok
	}
	for _, from := range slices.Sorted(maps.Keys(f.Values)) {
		if word, ok := check(fmt.Sprintf("values maps %q to", from), f.Values[from]); ok {
			words[from] = word
		}
	}
	if f.Default != nil {
		check("default", *f.Default)
	}
	if f.Value != nil && f.Values == nil {
		check("value", *f.Value)
	}
	return words
}
