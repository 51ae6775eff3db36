package extract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// Set names rows of one kind and says how their columns map to fields.
type Set struct {
	Name   string           `yaml:"name,omitempty"`
	Table  string           `yaml:"table,omitempty"`
	Query  string           `yaml:"query,omitempty"`
	Files  []string         `yaml:"files,omitempty"`  // files, folders and globs
	Where  string           `yaml:"where,omitempty"`  // an expression; rows for which it is not true are left out
	Nested string           `yaml:"nested,omitempty"` // the list whose elements are the set's rows
	Fields map[string]Field `yaml:"fields,omitempty"`
}

// Field says where a field's value comes from and how it is read.
type Field struct {
	Column   string            `yaml:"column,omitempty"`   // a path; default: the field's own name
	Values   map[string]string `yaml:"values,omitempty"`   // source values, as text, to the field's; NULL is "null"
	Default  *string           `yaml:"default,omitempty"`  // for role and kind: whatever has no mapping; else: NULL and empty
	Value    *string           `yaml:"value,omitempty"`    // a constant instead of a column
	Unit     string            `yaml:"unit,omitempty"`     // of times that are numbers: s, ms, us, ns
	Timezone string            `yaml:"timezone,omitempty"` // of times without zone: an IANA name
	Prefix   string            `yaml:"prefix,omitempty"`   // put in front of an id that is present
	Optional bool              `yaml:"optional,omitempty"` // the column may be missing everywhere
	Expr     string            `yaml:"expr,omitempty"`     // an expression over the row's columns instead of a column
}

// ExtraField is a further column that a message carries as a JSON text.
type ExtraField struct {
	Name  string
	Field Field
}

// The names of the sets.
const (
	SetMessages      = "messages"
	SetConversations = "conversations"
	SetAgents        = "agents"
)

// fieldClass is what kind of value a field takes.
type fieldClass uint8

const (
	classID fieldClass = iota
	classText
	classTime
	classWord // role and kind: one of a few words
	classNumber
	classFlag
	classExtra
	classLookup // a column of a lookup
)

// fieldSpec describes a field of a set.
type fieldSpec struct {
	name     string
	class    fieldClass
	required bool // a column or, for words, a constant must be there
	explicit bool // never taken from the column of its name alone
}

// The indexes of the fields of messages, in the order of messageFields.
const (
	fConversationID = iota
	fMessageID
	fSentAt
	fChangedAt
	fRole
	fKind
	fAuthorID
	fAuthorName
	fAuthorUsername
	fAgentID
	fAgentName
	fAgentUsername
	fBody
	fUserID
	fAnonymousID
	fSequence
	fDeleted
)

var messageFields = []fieldSpec{
	{name: "conversation_id", class: classID, required: true},
	{name: "message_id", class: classID},
	{name: "sent_at", class: classTime, required: true},
	{name: "changed_at", class: classTime},
	{name: "role", class: classWord, required: true},
	{name: "kind", class: classWord},
	{name: "author_id", class: classID},
	{name: "author_name", class: classText},
	{name: "author_username", class: classText},
	{name: "agent_id", class: classID},
	{name: "agent_name", class: classText},
	{name: "agent_username", class: classText},
	{name: "body", class: classText},
	{name: "user_id", class: classID, explicit: true},
	{name: "anonymous_id", class: classID, explicit: true},
	{name: "sequence", class: classNumber},
	{name: "deleted", class: classFlag},
}

// messageTexts are the fields of messages that are ids or texts, besides those of the
// conversation and of the message itself. Ids come first: what is wrong with them is
// told first.
var messageTexts = [...]int{
	fAuthorID, fAgentID, fUserID, fAnonymousID,
	fAuthorName, fAuthorUsername, fAgentName, fAgentUsername, fBody,
}

// The indexes of the fields of conversations.
const (
	cConversationID = iota
	cUserID
	cAnonymousID
	cAssigneeID
	cAssigneeName
	cAssigneeUsername
	cEndedAt
	cEndedBy
	cChangedAt
)

var conversationFields = []fieldSpec{
	{name: "conversation_id", class: classID, required: true},
	{name: "user_id", class: classID, explicit: true},
	{name: "anonymous_id", class: classID, explicit: true},
	{name: "assignee_id", class: classID},
	{name: "assignee_name", class: classText},
	{name: "assignee_username", class: classText},
	{name: "ended_at", class: classTime},
	{name: "ended_by", class: classID},
	{name: "changed_at", class: classTime},
}

// The indexes of the fields of agents.
const (
	aID = iota
	aName
	aUsername
	aChangedAt
)

var agentFields = []fieldSpec{
	{name: "id", class: classID, required: true},
	{name: "name", class: classText},
	{name: "username", class: classText},
	{name: "changed_at", class: classTime},
}

// MessageFields, ConversationFields and AgentFields are the names of the
// fields that each set can have.
var (
	MessageFields      = fieldNames(messageFields)
	ConversationFields = fieldNames(conversationFields)
	AgentFields        = fieldNames(agentFields)
)

func fieldNames(specs []fieldSpec) []string {
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.name
	}
	return names
}

// MappingError is a mistake in how a set's columns map to fields.
type MappingError struct {
	Set     string // messages, or messages[1] (its name) if there are several
	Field   string // empty: the set as a whole
	File    string // empty: not about one file
	Problem string
	Try     string // what to do about it
}

func (e *MappingError) Error() string {
	where := e.Set
	if e.Field != "" {
		where += "." + e.Field
	}
	if e.File != "" {
		where += " in " + e.File
	}
	return where + ": " + e.Problem
}

// near returns up to three of names that are spelled much like want, best first.
func near(want string, names []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	for _, name := range names {
		d := levenshtein.Distance(strings.ToLower(want), strings.ToLower(name), nil)
		if d <= max(2, min(len(want), len(name))/3) || strings.HasSuffix(name, "."+want) {
			found = append(found, candidate{name, d})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.distance - b.distance })
	var out []string
	for _, c := range found[:min(3, len(found))] {
		out = append(out, c.name)
	}
	return out
}

// suggest says which of names may have been meant, and lists them.
func suggest(want string, names []string, what string) string {
	list := what + " are " + strings.Join(names[:min(40, len(names))], ", ")
	if len(names) > 40 {
		list += fmt.Sprintf(" and %d more", len(names)-40)
	}
	if close := near(want, names); len(close) > 0 {
		return "did you mean " + strings.Join(close, " or ") + "? " + list
	}
	return list
}
