package extract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Table is what a table, or files of one kind, look like: their columns with
// values of the first rows. From it a mapping can be proposed.
type Table struct {
	Name    string
	Rows    int64 // that there are, about; 0: unknown
	Columns []SampledColumn
	Lists   []string // columns that hold a list of objects in each row
}

// SampledColumn is a column, or what lies at a path into one, with its value in
// each row of the sample. Long texts are cut.
type SampledColumn struct {
	Path     string
	Declared string // the source's name of its type; JSON: found inside of one
	Values   []Value
}

const (
	inspectedRows  = 10_000
	inspectedBytes = 64 << 20
	inspectedText  = 2_000 // bytes of a text that are kept
	inspectedJSON  = 200   // values in which keys are looked for
	inspectedPaths = 300   // columns and paths at most
)

// rowSource reads the first rows of a set of which nothing is mapped.
type rowSource interface {
	// outline returns the set's columns and its rows, about.
	outline(ctx context.Context, set Set) (table, int64, error)
	// rows calls each with the values of the extra fields until it returns false.
	rows(ctx context.Context, set Set, extra []ExtraField, each func(values []Value) bool) error
}

// inspect looks at a set: a table or files, and the list in them if it is
// nested.
func inspect(ctx context.Context, from rowSource, set Set) (*Table, error) {
	whole := set
	whole.Nested = ""
	outline, rows, err := from.outline(ctx, whole)
	if err != nil {
		return nil, err
	}
	t := &Table{Name: outline.name, Rows: rows}
	paths := outline.paths()
	if err := t.read(ctx, from, whole, paths); err != nil {
		return nil, err
	}
	inside, lists := t.inside()
	for _, list := range lists {
		t.Lists = append(t.Lists, list.path)
	}
	if set.Nested != "" {
		i := slices.IndexFunc(lists, func(l insideList) bool { return l.path == set.Nested })
		if i < 0 {
			return nil, &MappingError{Set: SetMessages, Problem: fmt.Sprintf("%s of %s holds no lists of objects", set.Nested, t.Name), Try: "the lists are " + strings.Join(t.Lists, ", ")}
		}
		var all []columnPath
		for _, key := range lists[i].keys {
			all = append(all, columnPath{key, "JSON"})
		}
		for _, p := range slices.Concat(paths, inside) {
			if !p.isList(lists) {
				all = append(all, columnPath{rowName + "." + p.path, p.declared})
			}
		}
		return t, t.read(ctx, from, set, all)
	}
	if len(inside) > 0 {
		return t, t.read(ctx, from, set, slices.Concat(paths, inside))
	}
	return t, nil
}

// columnPath is a column or a path, and its type.
type columnPath struct{ path, declared string }

func (p columnPath) isList(lists []insideList) bool {
	return slices.ContainsFunc(lists, func(l insideList) bool { return l.path == p.path })
}

// paths are the columns that hold values or lists, not those made of others.
func (t *table) paths() (paths []columnPath) {
	for _, col := range t.columns {
		if col.Type != TypeOther || col.shape != nil && col.shape.elem != nil {
			paths = append(paths, columnPath{col.Name, col.Declared})
		}
	}
	return paths
}

// read reads the values of paths in the first rows.
func (t *Table) read(ctx context.Context, from rowSource, set Set, paths []columnPath) error {
	paths = paths[:min(len(paths), inspectedPaths)]
	t.Columns = nil
	var extra []ExtraField
	for _, p := range paths {
		t.Columns = append(t.Columns, SampledColumn{Path: p.path, Declared: p.declared})
		extra = append(extra, ExtraField{Name: p.path, Field: Field{Column: p.path, Optional: true}})
	}
	rows, size := 0, 0
	return from.rows(ctx, set, extra, func(values []Value) bool {
		for i, v := range values {
			limit := inspectedText
			if v.Type == TypeOther {
				limit = len(v.Str)
			}
			v.Str = strings.Clone(v.Str[:min(len(v.Str), limit)])
			size += len(v.Str) + 24
			t.Columns[i].Values = append(t.Columns[i].Values, v)
		}
		rows++
		return rows < inspectedRows && size < inspectedBytes
	})
}

// insideList is a path at which rows have lists of objects, and what those have.
type insideList struct {
	path string
	keys []string
}

// inside finds what lies in the columns that hold JSON or lists.
func (t *Table) inside() (paths []columnPath, lists []insideList) {
	for _, col := range t.Columns {
		members, elements := map[string]bool{}, map[string]bool{}
		looked := 0
		for _, v := range col.Values {
			if (v.Type != TypeText && v.Type != TypeOther) || v.Str == "" || looked == inspectedJSON {
				continue
			}
			var value any
			if c := v.Str[0]; c != '{' && c != '[' || json.Unmarshal([]byte(v.Str), &value) != nil {
				continue
			}
			looked++
			switch value := value.(type) {
			case map[string]any:
				keysOf(value, col.Path+".", members)
			case []any:
				for _, element := range value {
					if object, ok := element.(map[string]any); ok {
						keysOf(object, "", elements)
					}
				}
			}
		}
		for _, path := range slices.Sorted(maps.Keys(members)) {
			paths = append(paths, columnPath{path, "JSON"})
		}
		if len(elements) > 0 {
			lists = append(lists, insideList{col.Path, slices.Sorted(maps.Keys(elements))})
		}
	}
	return paths, lists
}

// keysOf adds the paths of an object's simple members, and of those of the
// objects right in it.
func keysOf(object map[string]any, before string, paths map[string]bool) {
	for key, value := range object {
		path := before + quotePart(key)
		inner, ok := value.(map[string]any)
		if _, list := value.([]any); list {
			continue
		}
		if !ok {
			paths[path] = true
		} else if strings.Count(path, ".") < 3 {
			keysOf(inner, path+".", paths)
		}
	}
}

// InspectParquet looks at the first rows of the files of a set.
func InspectParquet(ctx context.Context, cfg ParquetConfig, set Set) (_ *Table, err error) {
	p := newParquet(cfg)
	defer func() { err = errors.Join(err, p.Close()) }()
	return inspect(ctx, p, set)
}

func (p *Parquet) outline(ctx context.Context, set Set) (table, int64, error) {
	o := opener{Parquet: p, latest: latestAt(p.cfg.Now())}
	c := o.compiler(SetMessages, "", set)
	files := o.footers(ctx, c, o.find(ctx, c, set))
	o.errs = append(o.errs, c.errs...)
	if err := o.mistakes(ctx); err != nil {
		return table{}, 0, err
	}
	all := table{name: strings.Join(set.Files, ", ")}
	rows := int64(0)
	for i, f := range files {
		rows += f.rows()
		for _, col := range c.tables[i].columns {
			if !slices.ContainsFunc(all.columns, func(known Column) bool { return known.Name == col.Name }) {
				all.columns = append(all.columns, col)
			}
		}
	}
	return all, rows, nil
}

var errEnough = errors.New("enough was read")

func (p *Parquet) rows(ctx context.Context, set Set, extra []ExtraField, each func([]Value) bool) error {
	o := opener{Parquet: p, latest: latestAt(p.cfg.Now())}
	c := o.compiler(SetMessages, "", set)
	c.specs, c.extra = noField, extra
	files := o.footers(ctx, c, o.find(ctx, c, set))
	useAll(c, files)
	o.errs = append(o.errs, c.errs...)
	if err := o.mistakes(ctx); err != nil {
		return err
	}
	for _, f := range files {
		var s Scratch
		values := make([]Value, len(extra))
		err := f.eachRow(ctx, p.maxPage, &s, func(int, int64) elementFunc {
			return func(row []Value, _ int, bad *problem) error {
				if bad == nil && !each(f.mapping.extras(row, &s, values)) {
					return errEnough
				}
				return nil
			}
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noField is a field that no set has: nothing is mapped by its name.
var noField = []fieldSpec{{explicit: true}}

// extras are the values of the extra fields of a row that was opened.
func (m *Mapping) extras(row []Value, s *Scratch, values []Value) []Value {
	for i := range m.extra {
		values[i] = m.extra[i].get(row, s)
	}
	return values
}
