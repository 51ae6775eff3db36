package extract

import (
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/expr-lang/expr/types"
)

// shape is what a column with parts looks like: a struct has members, a list
// has elem, anything else is a leaf. Sources hand on the values of structs and
// lists as JSON texts.
type shape struct {
	typ      Type // TypeOther for structs and lists
	declared string
	names    []string // of the members
	members  []*shape
	elem     *shape

	// How Parquet stores it: the levels at which it, and an element of it, are
	// present, the level at which elements repeat, and the leaf.
	def, elemDef int16
	rep          int16
	leaf         int
}

func (s *shape) isStruct() bool { return s.names != nil }

// at is the shape at the end of a path; the path may lead on into JSON text,
// whose shape is unknown.
func (s *shape) at(steps []jsonStep) (*shape, bool) {
	for _, step := range steps {
		switch {
		case s.elem != nil && step.list:
			s = s.elem
		case s.isStruct() && !step.list:
			n := slices.Index(s.names, step.key)
			if n < 0 {
				return nil, false
			}
			s = s.members[n]
		case s.typ == TypeText:
			return jsonShape(s.leaf), true
		default:
			return nil, false
		}
	}
	return s, true
}

// jsonShape is that of whatever lies in a JSON text.
func jsonShape(leaf int) *shape { return &shape{typ: TypeAny, declared: "JSON", leaf: leaf} }

// leaves appends the numbers of all leaves.
func (s *shape) leaves(to []int) []int {
	switch {
	case s.elem != nil:
		return s.elem.leaves(to)
	case s.isStruct():
		for _, m := range s.members {
			to = m.leaves(to)
		}
		return to
	}
	return append(to, s.leaf)
}

// project is the shape without the leaves that are not wanted; nil if nothing
// of it is.
func (s *shape) project(wanted map[int]bool) *shape {
	p := *s
	switch {
	case s.elem != nil:
		if p.elem = s.elem.project(wanted); p.elem == nil {
			return nil
		}
	case s.isStruct():
		p.names, p.members = []string{}, nil
		for i, m := range s.members {
			if m = m.project(wanted); m != nil {
				p.names, p.members = append(p.names, s.names[i]), append(p.members, m)
			}
		}
		if len(p.members) == 0 {
			return nil
		}
	case !wanted[s.leaf]:
		return nil
	}
	return &p
}

// columns lists what a shape's paths without indexes name, as columns at the
// end of a path from base.
func (s *shape) columns(base *Column, path []jsonStep) (all []Column) {
	for i, name := range s.names {
		steps := append(slices.Clone(path), jsonStep{key: name})
		m := s.members[i]
		all = append(all, m.column(pathText(steps), base, steps))
		all = append(all, m.columns(base, steps)...)
	}
	return all
}

func (s *shape) column(name string, base *Column, steps []jsonStep) Column {
	col := Column{Name: name, Type: s.typ, Declared: s.declared, base: base, steps: steps}
	if s.typ == TypeOther {
		col.shape = s
	}
	return col
}

// exprType is what expressions are checked against.
func (s *shape) exprType() types.Type {
	switch {
	case s.elem != nil:
		return types.Array(s.elem.exprType())
	case s.isStruct():
		m := types.Map{}
		for i, name := range s.names {
			m[name] = s.members[i].exprType()
		}
		return m
	case isTime(s.typ): // inside of JSON texts times are texts
		return types.String
	}
	return exprTypes[s.typ]
}

// signature spells all that exprType depends on.
func (s *shape) signature() string {
	switch {
	case s.elem != nil:
		return "[" + s.elem.signature() + "]"
	case s.isStruct():
		parts := make([]string, len(s.members))
		for i, m := range s.members {
			parts[i] = strconv.Quote(s.names[i]) + m.signature()
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	return strconv.Itoa(int(s.typ))
}

func isTime(t Type) bool { return t == TypeInstant || t == TypeWallTime || t == TypeDate }

// shaper makes the shapes of a Parquet schema, counting its leaves.
type shaper struct {
	schema *schema.Schema
	leaf   int
}

// levels are those of the node around another one.
type levels struct{ def, rep int16 }

// node returns nil for what cannot be assembled: maps and variants.
func (b *shaper) node(node schema.Node, at levels) *shape {
	switch node.RepetitionType() {
	case parquet.Repetitions.Optional:
		at.def++
	case parquet.Repetitions.Repeated: // a list without a group around it
		inner := levels{at.def + 1, at.rep + 1}
		return b.list(node, at.def, inner, b.content(node, inner))
	}
	if element, ok := listElement(node); ok {
		return b.annotated(node, element, at)
	}
	return b.content(node, at)
}

// content is the shape of a node, whatever its repetition.
func (b *shaper) content(node schema.Node, at levels) *shape {
	group, ok := node.(*schema.GroupNode)
	if !ok {
		b.leaf++
		return &shape{typ: leafType(b.schema.Column(b.leaf - 1)), declared: leafName(node), def: at.def, rep: at.rep, leaf: b.leaf - 1}
	}
	s := &shape{typ: TypeOther, declared: "struct", def: at.def, rep: at.rep, names: []string{}}
	for i := range group.NumFields() {
		if m := b.node(group.Field(i), at); m != nil {
			s.names, s.members = append(s.names, group.Field(i).Name()), append(s.members, m)
		}
	}
	if t := nodeType(node); t == "map" || t == "variant" || len(s.members) == 0 {
		return nil
	}
	return s
}

func (b *shaper) list(node schema.Node, def int16, inner levels, elem *shape) *shape {
	if elem == nil {
		return nil
	}
	return &shape{typ: TypeOther, declared: nodeType(node), elem: elem, def: def, elemDef: inner.def, rep: inner.rep}
}

// annotated is the shape of a group that says it is a list. Its element is the
// repeated node or, as writers do it today, the only member of that.
func (b *shaper) annotated(node, repeated schema.Node, at levels) *shape {
	inner := levels{at.def + 1, at.rep + 1}
	group, ok := repeated.(*schema.GroupNode)
	wrapped := ok && group.NumFields() == 1 && repeated.Name() != "array" && repeated.Name() != node.Name()+"_tuple" &&
		group.Field(0).RepetitionType() != parquet.Repetitions.Repeated
	if wrapped {
		return b.list(node, at.def, inner, b.node(group.Field(0), inner))
	}
	if element, ok := listElement(repeated); ok { // a list of lists, as it was written once
		return b.list(node, at.def, inner, b.annotated(repeated, element, inner))
	}
	return b.list(node, at.def, inner, b.content(repeated, inner))
}

// listElement returns the repeated node of a group that is marked as a list.
func listElement(node schema.Node) (schema.Node, bool) {
	group, ok := node.(*schema.GroupNode)
	if !ok || nodeType(node) != "list" || group.NumFields() != 1 {
		return nil, false
	}
	element := group.Field(0)
	return element, element.RepetitionType() == parquet.Repetitions.Repeated
}

// schemaColumns lists the columns of a Parquet file: leaves, and the structs,
// lists and maps above them. What lies in a list has no column of its own.
func schemaColumns(s *schema.Schema) []Column {
	b := shaper{schema: s}
	var columns []Column
	var walk func(node schema.Node, shape *shape, path []string)
	walk = func(node schema.Node, shape *shape, path []string) {
		col := Column{Name: strings.Join(path, "."), Type: TypeOther, Declared: nodeType(node), index: -1 - len(columns), shape: shape}
		if shape != nil && !shape.isStruct() && shape.elem == nil {
			col.Type, col.index, col.shape = shape.typ, shape.leaf, nil
		}
		columns = append(columns, col)
		group, ok := node.(*schema.GroupNode)
		if !ok || shape == nil || !shape.isStruct() {
			return
		}
		for i := range group.NumFields() {
			child := group.Field(i)
			if n := slices.Index(shape.names, child.Name()); n >= 0 {
				walk(child, shape.members[n], append(slices.Clone(path), quotePart(child.Name())))
			}
		}
	}
	for i := range s.Root().NumFields() {
		node := s.Root().Field(i)
		walk(node, b.node(node, levels{}), []string{quotePart(node.Name())})
	}
	return columns
}
