package extract

import (
	"errors"
	"fmt"
)

// Parquet stores the leaves of lists and structs apart from each other, each
// value with two levels: how much of what is around it is present, and which of
// the lists around it goes on with it. From these the values of a column are
// put together again, as JSON.

// assembler puts the values of a nested column together.
type assembler struct {
	shape  *shape
	leaves map[int]*nestedLeaf
	buf    []byte
	limit  int // bytes of one row's value
}

// nestedLeaf reads a leaf of one row group, one value after the other.
type nestedLeaf struct {
	*cursor
	left int64 // values not yet decoded
}

var (
	errRowSize  = errors.New("the value of a row takes too many bytes")
	errUnlike   = errors.New("its parts have different numbers of values: the file is damaged")
	errLeftover = errors.New("it goes on after the row group's last row: the file is damaged")
)

// assembledRows is how many rows are put together at once.
const assembledRows = 64

// nestedCursor reads a list or struct as JSON texts.
func (f *openFile) nestedCursor(group int, s *shape) (*cursor, error) {
	a := &assembler{shape: s, leaves: map[int]*nestedLeaf{}, limit: int(f.maxPage)}
	c := &cursor{values: make([]Value, 0, assembledRows)}
	c.close = func() (err error) {
		for _, leaf := range a.leaves {
			err = errors.Join(err, leaf.close())
		}
		return err
	}
	for _, leaf := range s.leaves(nil) {
		read, err := f.leafCursor(group, leaf)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", f.rdr.MetaData().Schema.Column(leaf).Path(), err), c.close())
		}
		meta, err := f.rdr.RowGroup(group).MetaData().ColumnChunk(leaf)
		if err != nil {
			return nil, errors.Join(err, read.close(), c.close())
		}
		a.leaves[leaf] = &nestedLeaf{read, meta.NumValues()}
	}
	left := f.groups[group]
	c.fill = func() (err error) {
		c.next = 0
		c.values, err = a.rows(c.values[:min(left, assembledRows)])
		if left -= int64(len(c.values)); err == nil && left == 0 {
			err = a.ended()
		}
		return err
	}
	return c, nil
}

// rows puts the next rows together.
func (a *assembler) rows(out []Value) ([]Value, error) {
	a.buf = a.buf[:0]
	for i := range out {
		start := len(a.buf)
		if err := a.value(a.shape, 0, start); err != nil {
			return nil, err
		}
		out[i] = Value{Type: TypeOther, Str: stringOf(a.buf[start:])}
		if out[i].Str == "null" {
			out[i] = Value{}
		}
	}
	return out, nil
}

func (a *assembler) ended() error {
	for _, leaf := range a.leaves {
		if more, err := leaf.ready(); more || err != nil {
			return errors.Join(err, errLeftover)
		}
	}
	return nil
}

// value appends the value of a shape, whose first part has the repetition level
// rep. The row's value starts at row.
func (a *assembler) value(s *shape, rep int16, row int) error {
	if len(a.buf)-row > a.limit {
		return fmt.Errorf("%w: more than %d", errRowSize, a.limit)
	}
	if s.elem == nil && !s.isStruct() {
		return a.leaf(s, rep)
	}
	def, err := a.peek(s)
	switch {
	case err != nil:
		return err
	case def < s.def:
		a.buf = append(a.buf, "null"...)
		return a.skip(s, rep, s.def)
	case s.elem != nil && def < s.elemDef:
		a.buf = append(a.buf, "[]"...)
		return a.skip(s, rep, s.elemDef)
	case s.elem != nil:
		return a.list(s, rep, row)
	}
	for i, m := range s.members {
		a.buf = append(a.buf, "{,"[min(i, 1)])
		a.buf = append(appendQuoted(a.buf, s.names[i]), ':')
		if err := a.value(m, rep, row); err != nil {
			return err
		}
	}
	a.buf = append(a.buf, '}')
	return nil
}

func (a *assembler) list(s *shape, rep int16, row int) error {
	first := a.first(s)
	for mark := byte('['); ; mark, rep = ',', s.rep {
		a.buf = append(a.buf, mark)
		if err := a.value(s.elem, rep, row); err != nil {
			return err
		}
		more, err := first.ready()
		if err != nil {
			return err
		}
		if !more || first.reps[first.next] != s.rep {
			break
		}
	}
	a.buf = append(a.buf, ']')
	return nil
}

func (a *assembler) leaf(s *shape, rep int16) error {
	v, def, err := a.leaves[s.leaf].take(rep)
	if def < s.def || s.typ == TypeOther {
		v = Value{}
	}
	a.buf = appendJSON(a.buf, v)
	return err
}

// skip takes the single value that each leaf has for something that is not
// there.
func (a *assembler) skip(s *shape, rep, present int16) error {
	switch {
	case s.elem != nil:
		return a.skip(s.elem, rep, present)
	case s.isStruct():
		for _, m := range s.members {
			if err := a.skip(m, rep, present); err != nil {
				return err
			}
		}
		return nil
	}
	_, def, err := a.leaves[s.leaf].take(rep)
	if err == nil && def >= present {
		err = errUnlike
	}
	return err
}

// first is the first leaf of a shape, which tells how long its lists are.
func (a *assembler) first(s *shape) *nestedLeaf {
	for s.elem != nil || s.isStruct() {
		if s.elem != nil {
			s = s.elem
		} else {
			s = s.members[0]
		}
	}
	return a.leaves[s.leaf]
}

// peek returns the definition level of the next value of the first leaf.
func (a *assembler) peek(s *shape) (int16, error) {
	leaf := a.first(s)
	if more, err := leaf.ready(); err != nil || !more {
		return 0, errors.Join(err, errUnlike)
	}
	return leaf.defs[leaf.next], nil
}

// ready decodes further values if there are none at hand; false at the end.
func (l *nestedLeaf) ready() (bool, error) {
	if l.cursor.left() > 0 || l.left == 0 {
		return l.cursor.left() > 0, nil
	}
	if err := l.fill(); err != nil {
		return false, err
	}
	l.left -= int64(len(l.values))
	return true, nil
}

// take returns the next value, which has to have the repetition level rep.
func (l *nestedLeaf) take(rep int16) (v Value, def int16, err error) {
	more, err := l.ready()
	if err != nil || !more {
		return Value{}, 0, errors.Join(err, errUnlike)
	}
	i := l.next
	if len(l.reps) > 0 && l.reps[i] != rep || len(l.reps) == 0 && rep != 0 {
		return Value{}, 0, errUnlike
	}
	l.next++
	return l.values[i], l.defs[i], nil
}
