package extract

import "strings"

// derived is a value that lies inside of another one: at the end of a path
// into a struct, a list or a JSON text.
type derived struct {
	name  string
	as    Type
	slot  int // of what it lies in; slotElement, slotOuter: in an element of a nested set
	steps []jsonStep
}

// A slot says where a value is found: from 0 on in the row of the source, or
// one of these.
const (
	slotNone     = -1
	slotConstant = -2
	slotElement  = -3
	slotOuter    = -4
	slotDerived  = -5 // and below: the values in [Scratch.derived]
)

// raw returns the value of a slot of the row that was opened.
func (s *Scratch) raw(row []Value, slot int) Value {
	switch {
	case slot >= 0:
		return row[slot]
	case slot <= slotDerived:
		return s.derived[slotDerived-slot]
	}
	return Value{}
}

// slot returns where a column's value is found, adding the column if it is new.
func (m *Mapping) slot(col Column) int {
	if col.base == nil {
		return m.columnSlot(col)
	}
	slot := 0
	switch col.base {
	case elementBase:
		slot = slotElement
	case outerBase:
		slot = slotOuter
	default:
		slot = m.columnSlot(*col.base)
	}
	path := pathText(col.steps)
	for i, d := range m.derived {
		if d.slot == slot && pathText(d.steps) == path {
			return slotDerived - i
		}
	}
	m.derived = append(m.derived, derived{name: col.Name, as: col.Type, slot: slot, steps: col.steps})
	return slotDerived - len(m.derived) + 1
}

func (m *Mapping) columnSlot(col Column) int {
	for i := range m.Columns {
		if m.Columns[i].index == col.index && m.Columns[i].Name == col.Name {
			return i
		}
	}
	m.Columns = append(m.Columns, col)
	return len(m.Columns) - 1
}

// plant makes the trees by which derived values are found, once all slots are
// known.
func (m *Mapping) plant() {
	for i, d := range m.derived {
		tree := &m.element
		switch {
		case d.slot == slotOuter:
			tree = &m.outer
		case d.slot != slotElement:
			tree = m.treeOf(d.slot)
		}
		tree.add(d.steps, target{i, d.as})
	}
}

// rooted is the tree of what lies in one value of the row.
type rooted struct {
	slot int
	tree pathTree
}

func (m *Mapping) treeOf(slot int) *pathTree {
	for _, r := range m.trees {
		if r.slot == slot {
			return &r.tree
		}
	}
	r := &rooted{slot: slot}
	m.trees = append(m.trees, r)
	return &r.tree
}

// open finds the derived values of a row.
func (m *Mapping) open(row []Value, s *Scratch) {
	if len(m.derived) == 0 {
		return
	}
	if cap(s.derived) < len(m.derived) {
		s.derived = make([]Value, len(m.derived))
	}
	s.derived = s.derived[:len(m.derived)]
	clear(s.derived)
	for _, r := range m.trees {
		if text, ok := jsonOf(row[r.slot], s); ok {
			r.tree.read(text, skipSpace(text, 0), s)
		}
	}
}

// jsonOf returns the JSON text that a value is.
func jsonOf(v Value, s *Scratch) (string, bool) {
	switch v.Type {
	case TypeOther:
		return v.Str, v.Str != ""
	case TypeText:
		return openJSON(v.Str, s)
	}
	return "", false
}

// elementFunc gets a row of which all derived values are known: of a nested set
// one for each element, with its number, else the row itself, with -1. bad says
// that the row, or the element, cannot be read.
type elementFunc func(row []Value, element int, bad *problem) error

// unfold opens a row of the source and calls each for every row of the set that
// it holds. What each gets is valid until it returns.
func (m *Mapping) unfold(row []Value, s *Scratch, each elementFunc) error {
	m.open(row, s)
	if m.list == nil {
		return each(row, -1, nil)
	}
	number := 0
	if m.list.inner == slotNone {
		return m.elements(row, m.list.slot, slotElement, &number, s, func(n int, bad *problem) error { return each(row, n, bad) })
	}
	// Elements are numbered through the row, whatever list they are in.
	lists := 0
	return m.elements(row, m.list.slot, slotOuter, &lists, s, func(_ int, bad *problem) error {
		if bad != nil {
			return each(row, -1, bad)
		}
		return m.elements(row, m.list.inner, slotElement, &number, s, func(n int, bad *problem) error { return each(row, n, bad) })
	})
}

// elements opens every element of the list in a slot, as those of slotElement or
// slotOuter, and calls each with its number, or with -1 and why there are none.
func (m *Mapping) elements(row []Value, slot, as int, number *int, s *Scratch, each func(number int, bad *problem) error) error {
	v := s.raw(row, slot)
	if v.Type == TypeNull || v.Type == TypeText && strings.TrimSpace(v.Str) == "" {
		return nil
	}
	list, ok := jsonOf(v, s)
	switch {
	case !ok:
		return each(-1, &problem{BadValue, m.list.name + ": the text is no JSON"})
	case list == "null":
		return nil
	case list[0] != '[':
		return each(-1, &problem{BadValue, m.list.name + ": the JSON is no list"})
	}
	at, more := nextItem(list, 1)
	for ; more; *number++ {
		end := skipValue(list, at)
		bad := m.openElement(list[at:end], as, s)
		if err := each(*number, bad); err != nil {
			return err
		}
		at, more = nextItem(list, end)
	}
	return nil
}

// openElement finds the derived values of an element.
func (m *Mapping) openElement(text string, as int, s *Scratch) *problem {
	for i := range m.derived {
		if m.derived[i].slot == as {
			s.derived[i] = Value{}
		}
	}
	if text[0] == '"' {
		text, _ = openJSON(unquoteJSON(text, s), s)
	}
	if text == "" || text[0] != '{' {
		return &problem{BadValue, m.list.name + ": the element is no object"}
	}
	if as == slotOuter {
		m.outer.read(text, 0, s)
	} else {
		m.element.read(text, 0, s)
	}
	return nil
}

// nesting is the list whose elements are a set's rows.
type nesting struct {
	name  string
	slot  int
	inner int // the slot of a list in each element, whose elements are the rows; slotNone: there is none
}

// pathTree holds paths by their steps, so that one look at a JSON text finds
// what lies at the end of all of them.
type pathTree struct {
	keys    []pathKey
	items   []pathItem
	targets []target
}

type pathKey struct {
	key  string
	tree *pathTree
}

type pathItem struct {
	index int
	tree  *pathTree
}

// target is a derived value and its type.
type target struct {
	derived int
	as      Type
}

func (t *pathTree) add(steps []jsonStep, end target) {
	for _, step := range steps {
		t = t.child(step)
	}
	t.targets = append(t.targets, end)
}

func (t *pathTree) child(step jsonStep) *pathTree {
	child := &pathTree{}
	if step.list {
		for _, item := range t.items {
			if item.index == step.index {
				return item.tree
			}
		}
		t.items = append(t.items, pathItem{step.index, child})
		return child
	}
	for _, k := range t.keys {
		if k.key == step.key {
			return k.tree
		}
	}
	t.keys = append(t.keys, pathKey{step.key, child})
	return child
}

// read stores what lies at the end of the paths into the value at a place, and
// returns the value's end.
func (t *pathTree) read(text string, at int, s *Scratch) int {
	start, end := at, 0
	switch c := text[at]; {
	case c == '{' && len(t.keys) > 0:
		end = t.readObject(text, at, s)
	case c == '[' && len(t.items) > 0:
		end = t.readList(text, at, s)
	default:
		end = skipValue(text, at)
		if c == '"' && len(t.keys)+len(t.items) > 0 {
			t.readInside(text[start:end], s)
		}
	}
	for _, end2 := range t.targets {
		s.derived[end2.derived] = jsonValue(text[start:end], end2.as, s)
	}
	return end
}

func (t *pathTree) readObject(text string, at int, s *Scratch) int {
	at, more := nextItem(text, at+1)
	for more {
		key, value := memberValue(text, at, s)
		at = t.readMember(key, text, value, s)
		at, more = nextItem(text, at)
	}
	return at + 1
}

func (t *pathTree) readMember(key, text string, at int, s *Scratch) int {
	for i := range t.keys {
		if t.keys[i].key == key {
			return t.keys[i].tree.read(text, at, s)
		}
	}
	return skipValue(text, at)
}

func (t *pathTree) readList(text string, at int, s *Scratch) int {
	length := 0
	for _, item := range t.items {
		if item.index < 0 { // counted from the end
			length = countItems(text, at)
			break
		}
	}
	at, more := nextItem(text, at+1)
	for i := 0; more; i++ {
		end := skipValue(text, at)
		for _, item := range t.items {
			if item.index == i || item.index == i-length && length > 0 {
				item.tree.read(text, at, s)
			}
		}
		at, more = nextItem(text, end)
	}
	return at + 1
}

func countItems(text string, at int) (n int) {
	at, more := nextItem(text, at+1)
	for ; more; n++ {
		at, more = nextItem(text, skipValue(text, at))
	}
	return n
}

// readInside reads the JSON text that a JSON string holds.
func (t *pathTree) readInside(quoted string, s *Scratch) {
	inner, ok := openJSON(unquoteJSON(quoted, s), s)
	if !ok {
		return
	}
	inside := pathTree{keys: t.keys, items: t.items}
	inside.read(inner, 0, s)
}
