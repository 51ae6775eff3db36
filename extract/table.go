package extract

import "strings"

// Column is a column of a source as a mapping sees it.
type Column struct {
	Name     string // structs' members with dots, "a.b"
	Type     Type
	Declared string // the source's name of the type, for errors
	index    int    // where the source finds it

	shape    *shape // of a struct or list whose values the source hands on as JSON
	constant *Value // the column has this value everywhere: nothing is read
	// base is the column that this one lies in, at the end of steps; nil: the
	// source reads the column itself.
	base  *Column
	steps []jsonStep
}

// table is one file or relation of a set: its columns and what to call it.
type table struct {
	name    string
	columns []Column
	find    func(path string) (Column, bool)
}

// boundTable is a table as a set's fields see it: its rows or, of a nested set,
// the elements of one of its lists, with the row as row.
type boundTable struct {
	table
	row   *table // nil: not nested
	outer *table // the elements around, of a list in the elements of another; nil: the row is
}

// What is around an element is called by these names: the row, and the element
// of the outer list if its list lies in one.
const (
	rowName   = "row"
	outerName = "outer"
)

func (t *boundTable) resolve(path string) (Column, bool) {
	if t.row != nil {
		if name, ok := strings.CutPrefix(path, rowName+"."); ok {
			return t.row.resolve(name)
		}
	}
	if t.outer != nil {
		if name, ok := strings.CutPrefix(path, outerName+"."); ok {
			return t.outer.resolve(name)
		}
	}
	return t.table.resolve(path)
}

func (t *boundTable) columnNames() (names []string) {
	for _, col := range t.columns {
		names = append(names, col.Name)
	}
	if t.outer != nil {
		for _, col := range t.outer.columns {
			names = append(names, outerName+"."+col.Name)
		}
	}
	if t.row != nil {
		for _, col := range t.row.columns {
			names = append(names, rowName+"."+col.Name)
		}
	}
	return names
}
