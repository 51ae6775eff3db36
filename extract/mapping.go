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
	texts  []int // of messages: those of messageTexts that are not always NULL
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

func (m *Mapping) kind(row []Value, s *Scratch) (Kind, *problem) {
	b := &m.fields[fKind]
	if b.unmapped() {
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
		to := strings[i-fAuthorID+1] // message_id is the first
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
