package extract

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

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
	b.times, b.zoned = c.timeReader(spec, f), f.Timezone != ""
	return b, len(c.errs) == before
}

func (c *compiler) checkSources(spec fieldSpec, f Field) {
	switch {
	case f.Expr != "" && spec.name == "conversation_id":
		c.fail(spec.name, "", "it must be a column: conversations are found by it", "name a column, with prefix if needed")
	case f.Expr != "" && spec.name == "key":
		c.fail(spec.name, "", "it must be a column", "name a column")
	case f.Expr != "" && (f.Column != "" || f.Value != nil):
		c.fail(spec.name, "", "expr excludes column and value", "keep one of them")
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
func (c *compiler) checkType(t *boundTable, spec fieldSpec, f Field, col Column) {
	if col.shape != nil && (spec.class == classExtra || spec.class == classLookup) {
		return
	}
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
	classExtra:  "any type but maps, variants and times of day",
	classLookup: "any type but maps, variants and times of day",
}

// takes reports whether a field can be read from a column. With values any
// simple type will do, for they compare as text.
func takes(class fieldClass, t Type, values bool) bool {
	switch {
	case t == TypeOther:
		return false
	case t == TypeNull || t == TypeAny || values:
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
