package extract

import "strings"

// binding is where a field's value comes from.
type binding struct {
	slot     int
	expr     *expression // instead of a slot, if there is one
	name     string      // of the field
	values   map[string]string
	fallback *string
	constant Value
	prefix   string
	times    timeReader
	zoned    bool // the job says in which zone times are
}

// unmapped reports whether the value comes from neither a column nor an expression,
// nor is a constant.
func (b *binding) unmapped() bool { return b.slot == slotNone && b.expr == nil }

// isNull reports whether the field is NULL in all rows.
func (b *binding) isNull() bool { return b.unmapped() && b.values == nil && b.fallback == nil }

// raw returns the source's value, the constant, or what the expression yields.
// If the expression cannot be evaluated that is NULL, and the scratch says so.
func (b *binding) raw(row []Value, s *Scratch) Value {
	switch {
	case b.slot >= 0:
		return row[b.slot]
	case b.slot == slotConstant:
		return b.constant
	case b.expr != nil:
		return b.expr.value(row, s, b.name)
	}
	return s.raw(row, b.slot)
}

// get returns the value after values and default.
func (b *binding) get(row []Value, s *Scratch) Value {
	v := b.raw(row, s)
	if b.values != nil {
		text := "null"
		if v.Type != TypeNull {
			text = s.text(v)
		}
		if to, ok := b.values[text]; ok {
			v = textValue(to)
		}
	}
	if b.fallback != nil && (v.Type == TypeNull || v.Type == TypeText && v.Str == "") {
		v = textValue(*b.fallback)
	}
	return v
}

func (b *binding) fault(p *problem) *problem {
	p.detail = b.name + ": " + p.detail
	return p
}

func (b *binding) id(row []Value, s *Scratch) (string, *problem) {
	id, p := idText(b.get(row, s), s)
	switch {
	case p != nil:
		return "", b.fault(p)
	case id != "" && b.prefix != "":
		return s.concat(b.prefix, id), nil
	}
	return id, nil
}

func (b *binding) text(row []Value, s *Scratch) string { return s.text(b.get(row, s)) }

// time returns 0 for NULL and blank text.
func (b *binding) time(row []Value, s *Scratch) (Time, *problem) {
	v := b.get(row, s)
	if isBlank(v) {
		return 0, nil
	}
	t, ok := b.times.time(v)
	if !ok {
		return 0, b.fault(&problem{BadTimestamp, shown(v) + " is no time"})
	}
	return t, nil
}

// plausibleTime is like time, for times at which something happened.
func (b *binding) plausibleTime(row []Value, s *Scratch, latest Time) (Time, *problem) {
	t, p := b.time(row, s)
	if p != nil || t >= earliest && t <= latest {
		return t, p
	}
	v := b.get(row, s)
	if isBlank(v) {
		return 0, nil
	}
	return 0, b.fault(&problem{BadTimestamp, shown(v) + " is before 1990 or in the future"})
}

func isBlank(v Value) bool {
	return v.Type == TypeNull || v.Type == TypeText && strings.TrimSpace(v.Str) == ""
}

func (b *binding) sequence(row []Value, s *Scratch) (Sequence, *problem) {
	v := b.get(row, s)
	seq, ok := sequenceOf(v)
	if !ok {
		return Sequence{}, b.fault(&problem{BadValue, shown(v) + " is no number"})
	}
	return seq, nil
}

func (b *binding) flag(row []Value, s *Scratch) (bool, *problem) {
	v := b.get(row, s)
	set, ok := flagOf(v)
	if !ok {
		return false, b.fault(&problem{BadValue, shown(v) + " is neither true nor false"})
	}
	return set, nil
}

// lookUp finds the word of a role or kind; a value without mapping takes the
// default, if there is one.
func lookUp[T any](b *binding, words map[string]T, parse func(string) (T, bool), row []Value, s *Scratch) (word T, found bool, v Value) {
	v = b.raw(row, s)
	text := "null"
	if v.Type != TypeNull {
		text = s.text(v)
	}
	if word, found = words[text]; !found && b.fallback != nil {
		word, found = parse(*b.fallback)
	}
	return word, found, v
}
