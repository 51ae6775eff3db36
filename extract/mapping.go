package extract

import (
	"encoding/json"
	"strings"
	"time"
)

// Mapping turns the rows of one source, as [Value]s in the order of Columns,
// into messages, conversations or agents. Several goroutines may use it.
//
// A row of a set with a nested list holds several of the set's rows, and paths
// lead into values: what reads a source calls unfold with each of its rows and
// maps what it gets from there.
type Mapping struct {
	Columns []Column // what a row has to hold, in this order

	set    string
	fields []binding // in the order of the set's field specs
	extra  []binding
	texts  []int // of messages: the fields from author_id to anonymous_id that come from somewhere
	roles  map[string]Role
	kinds  map[string]Kind
	latest Time // the latest plausible time

	derived []derived
	trees   []*rooted // by which derived values are found in the row
	element pathTree  // in the element
	outer   pathTree  // and in the one that its list lies in
	list    *nesting  // nil: a row is a row
	where   *expression
	whole   map[int]bool // slots of lists and structs of which everything is needed
}

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

// isNull reports whether the field is NULL in all rows.
func (b *binding) isNull() bool {
	return b.slot == slotNone && b.expr == nil && b.values == nil && b.fallback == nil
}

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

func (m *Mapping) kind(row []Value, s *Scratch) (Kind, *problem) {
	b := &m.fields[fKind]
	if b.slot == slotNone && b.expr == nil {
		return KindMessage, nil
	}
	kind, ok, v := lookUp(b, m.kinds, ParseKind, row, s)
	if !ok && v.Type != TypeNull {
		return 0, b.fault(&problem{UnknownKind, shown(v) + " has no mapping"})
	}
	return kind, nil
}

func (m *Mapping) role(row []Value, s *Scratch) (Role, *problem) {
	b := &m.fields[fRole]
	role, ok, v := lookUp(b, m.roles, ParseRole, row, s)
	if !ok {
		return 0, b.fault(&problem{UnknownRole, shown(v) + " has no mapping"})
	}
	return role, nil
}

// conversationID returns the id that a row of messages or conversations
// belongs to; a missing one is a problem.
func (m *Mapping) conversationID(row []Value, s *Scratch) (string, *problem) {
	b := &m.fields[0]
	id, p := b.id(row, s)
	if p == nil && id == "" {
		p = &problem{BadID, b.name + " is missing"}
	}
	return id, p
}

// keeps reports whether the set's where is true of a row.
func (m *Mapping) keeps(row []Value, s *Scratch) (bool, *problem) {
	if m.where == nil {
		return true, nil
	}
	return m.where.isTrue(row, s)
}

// Message maps a row into out, whose strings are valid until s is reset and
// whose Extra is reused. The reject, if there is one, names neither set nor
// locator. It is for sets without where and nested list.
func (m *Mapping) Message(row []Value, s *Scratch, out *Message) *Reject {
	m.open(row, s)
	id, p := m.conversationID(row, s)
	return m.message(row, s, id, p, out)
}

// message is Message of a row that was opened, with the conversation's id, or
// why it is bad, known.
func (m *Mapping) message(row []Value, s *Scratch, id string, badID *problem, out *Message) *Reject {
	s.failed = nil
	kind, badKind := m.kind(row, s)
	role, badRole := m.role(row, s)
	*out = Message{ConversationID: id, Kind: kind, Role: role, Extra: out.Extra[:0]}
	failed := s.failed
	if failed == nil && badKind == nil && Ignored(kind, role) != "" {
		return nil
	}
	var badMessageID *problem
	out.MessageID, badMessageID = m.fields[fMessageID].id(row, s)
	for _, p := range [...]*problem{failed, badKind, badRole, badID, s.failed, badMessageID} {
		if p != nil {
			return m.reject(p, id, out.MessageID)
		}
	}
	p := m.fillMessage(row, s, out)
	if s.failed != nil {
		p = s.failed
	}
	if p != nil {
		return m.reject(p, id, out.MessageID)
	}
	return nil
}

func (m *Mapping) fillMessage(row []Value, s *Scratch, out *Message) (p *problem) {
	f := m.fields
	if out.SentAt, p = f[fSentAt].plausibleTime(row, s, m.latest); p != nil {
		return p
	}
	if out.SentAt == 0 {
		return &problem{BadTimestamp, f[fSentAt].name + " is missing"}
	}
	if out.ChangedAt, p = f[fChangedAt].time(row, s); p != nil {
		return p
	}
	strings := messageStrings(out)
	for _, i := range m.texts {
		to := strings[1+i-fAuthorID]
		if messageFields[i].class != classID {
			*to = f[i].text(row, s)
		} else if *to, p = f[i].id(row, s); p != nil {
			return p
		}
	}
	if out.Sequence, p = f[fSequence].sequence(row, s); p != nil {
		return p
	}
	if out.Deleted, p = f[fDeleted].flag(row, s); p != nil {
		return p
	}
	for i := range m.extra {
		out.Extra = append(out.Extra, jsonText(m.extra[i].get(row, s), s))
	}
	return nil
}

// Conversation maps a row of the conversations set into out, as Message does.
func (m *Mapping) Conversation(row []Value, s *Scratch, out *Conversation) *Reject {
	m.open(row, s)
	id, p := m.conversationID(row, s)
	return m.conversation(row, s, id, p, out)
}

func (m *Mapping) conversation(row []Value, s *Scratch, id string, p *problem, out *Conversation) *Reject {
	*out = Conversation{ConversationID: id}
	s.failed = nil
	if p == nil {
		p = m.fillConversation(row, s, out)
	}
	if s.failed != nil {
		p = s.failed
	}
	if p != nil {
		return m.reject(p, id, "")
	}
	return nil
}

func (m *Mapping) fillConversation(row []Value, s *Scratch, out *Conversation) (p *problem) {
	f := m.fields
	for _, id := range [...]struct {
		field int
		to    *string
	}{
		{cUserID, &out.UserID}, {cAnonymousID, &out.AnonymousID},
		{cAssigneeID, &out.Assignee.ID}, {cEndedBy, &out.EndedBy},
	} {
		if *id.to, p = f[id.field].id(row, s); p != nil {
			return p
		}
	}
	out.Assignee.Name = f[cAssigneeName].text(row, s)
	out.Assignee.Username = f[cAssigneeUsername].text(row, s)
	if out.EndedAt, p = f[cEndedAt].plausibleTime(row, s, m.latest); p != nil {
		return p
	}
	out.ChangedAt, p = f[cChangedAt].time(row, s)
	return p
}

// Agent maps a row of the directory of agents into out, as Message does.
func (m *Mapping) Agent(row []Value, s *Scratch, out *DirectoryAgent) *Reject {
	m.open(row, s)
	return m.agent(row, s, out)
}

func (m *Mapping) agent(row []Value, s *Scratch, out *DirectoryAgent) *Reject {
	f := m.fields
	s.failed = nil
	id, p := m.conversationID(row, s) // an agent's id has the same place and rules
	*out = DirectoryAgent{Person: Person{ID: id, Name: f[aName].text(row, s), Username: f[aUsername].text(row, s)}}
	if p == nil {
		out.ChangedAt, p = f[aChangedAt].time(row, s)
	}
	if s.failed != nil {
		p = s.failed
	}
	if p != nil {
		return m.reject(p, "", "")
	}
	return nil
}

func (m *Mapping) reject(p *problem, conversationID, messageID string) *Reject {
	return &Reject{
		Stage:          StageRead,
		Reason:         p.reason,
		Set:            m.set,
		ConversationID: conversationID,
		MessageID:      messageID,
		Detail:         p.detail,
	}
}

// payload is the row's mapped columns as a JSON object.
func (m *Mapping) payload(row []Value) string {
	var s Scratch
	m.open(row, &s)
	return m.payloadOf(row, &s)
}

// payloadOf is payload of a row that was opened. Of the list of a nested set it
// has what is mapped of the element.
func (m *Mapping) payloadOf(row []Value, s *Scratch) string {
	object := make(map[string]json.RawMessage, len(row))
	add := func(name string, v Value, slot int) {
		switch {
		case m.list == nil || slot == slotElement:
		case slot == slotOuter:
			name = outerName + "." + name
		default:
			name = rowName + "." + name
		}
		object[name] = appendJSON(nil, validText(v))
	}
	for i, v := range row {
		if m.Columns[i].shape == nil && !m.isList(i) || m.whole[i] {
			add(m.Columns[i].Name, v, i)
		}
	}
	for i, d := range m.derived {
		if !m.isList(slotDerived - i) {
			add(d.name, s.derived[i], d.slot)
		}
	}
	out, err := json.Marshal(object)
	if err != nil {
		return "{}" // what claims to be a number is none
	}
	return string(out)
}

// isList reports whether a slot holds a list whose elements are the set's rows.
func (m *Mapping) isList(slot int) bool {
	return m.list != nil && (slot == m.list.slot || slot == m.list.inner)
}

// validText is v with U+FFFD for what is no valid UTF-8.
func validText(v Value) Value {
	if v.Type == TypeText || v.Type == TypeOther {
		v.Str = strings.ToValidUTF8(v.Str, "\ufffd")
	}
	return v
}

// latestAt is the latest plausible time of a run that starts at now.
func latestAt(now time.Time) Time { return TimeOf(now.Add(24 * time.Hour)) }
