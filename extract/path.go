package extract

import (
	"strconv"
	"strings"
)

// resolve finds the column at a path, which may lead into the structs and
// lists of columns and into JSON texts: a.b[0].c.
func (t *table) resolve(path string) (Column, bool) {
	if col, ok := t.find(path); ok {
		return col, true
	}
	name, steps, ok := splitPath(path)
	if !ok {
		return Column{}, false
	}
	for n := len(steps); n >= 0; n-- {
		if n < len(steps) && steps[n].list && n > 0 && steps[n-1].list {
			continue // only names can be part of a column's path
		}
		prefix := pathText(append([]jsonStep{{key: name}}, steps[:n]...))
		if col, ok := t.find(prefix); ok {
			return col.at(path, steps[n:])
		}
	}
	return Column{}, false
}

// at is what lies at the end of a path from col.
func (col Column) at(path string, steps []jsonStep) (Column, bool) {
	if len(steps) == 0 {
		return col, true
	}
	base, way := &col, steps
	if col.base != nil {
		base, way = col.base, append(append([]jsonStep(nil), col.steps...), steps...)
	}
	from := col.shape
	if from == nil && (col.Type == TypeText || col.Type == TypeAny) {
		from = &shape{typ: TypeText}
	}
	if from == nil || col.constant != nil {
		return Column{}, false
	}
	if end, ok := from.at(steps); ok {
		return end.column(path, base, way), true
	}
	return Column{}, false
}

// pathText spells a path as people write it.
func pathText(steps []jsonStep) string {
	var b strings.Builder
	for i, step := range steps {
		switch {
		case step.list:
			b.WriteString("[" + strconv.Itoa(step.index) + "]")
			continue
		case i > 0:
			b.WriteByte('.')
		}
		if strings.ContainsAny(step.key, `.[]"`) {
			b.WriteString(`"` + strings.ReplaceAll(step.key, `"`, `""`) + `"`)
		} else {
			b.WriteString(step.key)
		}
	}
	return b.String()
}

// The bases of the columns of a nested set's elements, and of the elements that
// their lists lie in.
var (
	elementBase = &Column{Name: "element"}
	outerBase   = &Column{Name: "outer element"}
)

// elements is the table whose rows are the elements of a list: of structs, or
// of objects in a JSON text, which may have any columns.
func (t *table) elements(list Column, base *Column) (table, bool) {
	e := table{name: list.Name + " of " + t.name}
	switch {
	case list.shape != nil && list.shape.elem != nil && list.shape.elem.isStruct():
		elem := list.shape.elem
		e.columns = elem.columns(base, nil)
		e.find = findColumn(e.columns)
	case list.Type == TypeText || list.Type == TypeAny || list.shape != nil && list.shape.elem != nil && list.shape.elem.typ == TypeText:
		e.find = func(path string) (Column, bool) {
			name, steps, ok := splitPath(path)
			steps = append([]jsonStep{{key: name}}, steps...)
			return Column{Name: path, Type: TypeAny, Declared: "JSON", base: base, steps: steps}, ok
		}
	default:
		return table{}, false
	}
	return e, true
}
