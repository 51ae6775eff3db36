package extract

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rowOf is a row by the names of its columns.
type rowOf map[string]Value

func ptr[T any](v T) *T { return &v }

// compileFor makes a mapping for the columns that a row has.
func compileFor(kind string, specs []fieldSpec, row rowOf, fields map[string]Field, extra ...ExtraField) (*Mapping, []Value, error) {
	var columns []Column
	for name, v := range row {
		columns = append(columns, Column{Name: name, Type: v.Type, Declared: v.Type.String(), index: len(columns)})
	}
	c := compiler{set: kind, kind: kind, specs: specs, fields: fields, extra: extra, latest: latestAt(testNow),
		tables: []table{{name: "t", columns: columns, find: findColumn(columns)}}}
	m := c.compile()[0]
	values := make([]Value, len(m.Columns))
	for i, col := range m.Columns {
		values[i] = row[col.Name]
	}
	return m, values, errors.Join(c.errs...)
}

func TestMappingMessage(t *testing.T) {
	base := rowOf{
		"conversation_id": textValue("c"), "sent_at": textValue("2024-03-01T10:00:00Z"), "role": textValue("customer"),
	}
	sent := TimeOf(time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC))
	plain := Message{ConversationID: "c", SentAt: sent, Role: Customer}
	with := func(change func(*Message)) Message { m := plain; change(&m); return m }
	for _, c := range []struct {
		name   string
		row    rowOf
		fields map[string]Field
		want   Message
		reason Reason
		detail string
	}{
		{name: "OK by name", want: plain},
		{name: "OK user_id is not taken by name", row: rowOf{"user_id": textValue("u"), "anonymous_id": textValue("x")}, want: plain},
		{name: "OK user_id when named", row: rowOf{"user_id": textValue("u")}, fields: map[string]Field{"user_id": {}},
			want: with(func(m *Message) { m.UserID = "u" })},
		{name: "OK values", row: rowOf{"role": textValue("admin")}, fields: map[string]Field{"role": {Values: map[string]string{"admin": "agent"}}},
			want: with(func(m *Message) { m.Role = Agent })},
		{name: "OK values beat canonical names", row: rowOf{"role": textValue("agent")},
			fields: map[string]Field{"role": {Values: map[string]string{"agent": "bot"}, Default: ptr("agent")}},
			want:   with(func(m *Message) { m.Role = Bot })},
		{name: "OK default is canonical", row: rowOf{"role": textValue("?")},
			fields: map[string]Field{"role": {Values: map[string]string{"agent": "bot"}, Default: ptr("agent")}},
			want:   with(func(m *Message) { m.Role = Agent })},
		{name: "OK number as role", row: rowOf{"role": {Type: TypeInt, Int: 1}}, fields: map[string]Field{"role": {Values: map[string]string{"1": "bot"}}},
			want: with(func(m *Message) { m.Role = Bot })},
		{name: "OK null as role", row: rowOf{"role": {}}, fields: map[string]Field{"role": {Values: map[string]string{"null": "agent"}}},
			want: with(func(m *Message) { m.Role = Agent })},
		{name: "OK constant role", row: rowOf{"role": textValue("x")}, fields: map[string]Field{"role": {Value: ptr("bot")}},
			want: with(func(m *Message) { m.Role = Bot })},
		{name: "OK null kind is a message", row: rowOf{"kind": {}}, want: plain},
		{name: "OK kind", row: rowOf{"kind": textValue("end")}, want: with(func(m *Message) { m.Kind = KindEnd })},
		{name: "OK ignored without time or role", row: rowOf{"kind": textValue("note"), "sent_at": {}, "role": textValue("?"), "body": textValue("b")},
			want: Message{ConversationID: "c", Kind: KindNote}},
		{name: "OK ignored without conversation", row: rowOf{"kind": textValue("ignore"), "conversation_id": {}},
			want: Message{Kind: KindIgnore, Role: Customer}},
		{name: "OK system message is ignored", row: rowOf{"role": textValue("system"), "sent_at": textValue("never")},
			want: Message{ConversationID: "c", Role: System}},
		{name: "OK prefix", row: rowOf{"message_id": {Type: TypeInt, Int: 7}},
			fields: map[string]Field{"message_id": {Prefix: "p:"}, "author_id": {Column: "message_id", Prefix: "q"}, "agent_id": {Value: ptr(""), Prefix: "r"}},
			want:   with(func(m *Message) { m.MessageID, m.Author.ID = "p:7", "q7" })},
		{name: "OK empty message_id", row: rowOf{"message_id": textValue("")}, fields: map[string]Field{"message_id": {Prefix: "p:"}}, want: plain},
		{name: "OK sequence and deleted", row: rowOf{"sequence": textValue("-1.5"), "deleted": {Type: TypeInstant, Int: 5}},
			want: with(func(m *Message) { m.Sequence, m.Deleted = Sequence{Int: -2, Frac: .5}, true })},
		{name: "OK default of a text", row: rowOf{"author_name": {}}, fields: map[string]Field{"author_name": {Default: ptr("Anna")}},
			want: with(func(m *Message) { m.Author.Name = "Anna" })},
		{name: "OK values of a text", row: rowOf{"author_name": textValue("x")}, fields: map[string]Field{"author_name": {Values: map[string]string{"x": "Anna"}}},
			want: with(func(m *Message) { m.Author.Name = "Anna" })},
		{name: "OK blank changed_at", row: rowOf{"changed_at": textValue(" ")}, want: plain},
		{name: "OK number as body", row: rowOf{"body": floatValue(1.5)}, want: with(func(m *Message) { m.Body = "1.5" })},
		{name: "Err unknown role", row: rowOf{"role": textValue(strings.Repeat("x", 100))}, reason: UnknownRole,
			detail: `role: "` + strings.Repeat("x", 64) + `" has no mapping`},
		{name: "Err null role", row: rowOf{"role": {}}, reason: UnknownRole, detail: "role: null has no mapping"},
		{name: "Err unknown kind", row: rowOf{"kind": textValue("chat")}, reason: UnknownKind, detail: `kind: "chat" has no mapping`},
		{name: "Err missing time", row: rowOf{"sent_at": {}}, reason: BadTimestamp, detail: "sent_at is missing"},
		{name: "Err no time", row: rowOf{"sent_at": textValue("x")}, reason: BadTimestamp, detail: `sent_at: "x" is no time`},
		{name: "Err epoch", row: rowOf{"sent_at": {Type: TypeInt}}, reason: BadTimestamp, detail: "sent_at: 0 is before 1990 or in the future"},
		{name: "Err 1989", row: rowOf{"sent_at": textValue("1989-12-31")}, reason: BadTimestamp, detail: `sent_at: "1989-12-31" is before 1990 or in the future`},
		{name: "Err tomorrow's tomorrow", row: rowOf{"sent_at": textValue("2025-06-02T12:00:01Z")}, reason: BadTimestamp,
			detail: `sent_at: "2025-06-02T12:00:01Z" is before 1990 or in the future`},
		{name: "Err changed_at", row: rowOf{"changed_at": textValue("x")}, reason: BadTimestamp, detail: `changed_at: "x" is no time`},
		{name: "Err missing conversation", row: rowOf{"conversation_id": textValue("")}, reason: BadID, detail: "conversation_id is missing"},
		{name: "Err message id", row: rowOf{"message_id": floatValue(.5)}, reason: BadID, detail: "message_id: 0.5 is no whole number below 2^53"},
		{name: "Err author id", row: rowOf{"author_id": textValue("a\x1f")}, reason: BadID, detail: `author_id: "a\x1f" contains the byte 0x1F`},
		{name: "Err sequence", row: rowOf{"sequence": textValue("first")}, reason: BadValue, detail: `sequence: "first" is no number`},
		{name: "Err deleted", row: rowOf{"deleted": textValue("perhaps")}, reason: BadValue, detail: `deleted: "perhaps" is neither true nor false`},
	} {
		t.Run(c.name, func(t *testing.T) {
			row := rowOf{}
			for _, part := range []rowOf{base, c.row} {
				for k, v := range part {
					row[k] = v
				}
			}
			m, values, err := compileFor(SetMessages, messageFields, row, c.fields)
			if err != nil {
				t.Fatal(err)
			}
			var got Message
			r := m.Message(values, &Scratch{}, &got)
			if c.reason != "" {
				if r == nil || r.Reason != c.reason || r.Detail != c.detail || r.Set != SetMessages || r.Stage != StageRead {
					t.Fatalf("got reject %+v, want %s: %s", r, c.reason, c.detail)
				}
				return
			}
			if r != nil {
				t.Fatalf("got reject %+v", r)
			}
			got.Extra = nil
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMappingChangedAtOfAnyYear(t *testing.T) {
	row := rowOf{"conversation_id": textValue("c"), "sent_at": textValue("2024-03-01"), "role": textValue("bot"), "changed_at": textValue("9999-12-31")}
	m, values, err := compileFor(SetMessages, messageFields, row, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got Message
	if r := m.Message(values, &Scratch{}, &got); r != nil || got.ChangedAt.Time().Year() != 2262 {
		t.Errorf("got %v, %v", got.ChangedAt, r)
	}
}

func TestMappingConversation(t *testing.T) {
	row := rowOf{"conversation_id": {Type: TypeInt, Int: 5}, "user_id": textValue("u"), "assignee_id": {Type: TypeInt, Int: 9},
		"ended_at": textValue("2024-03-01"), "ended_by": textValue("9"), "changed_at": {}}
	m, values, err := compileFor(SetConversations, conversationFields, row, map[string]Field{"user_id": {}})
	if err != nil {
		t.Fatal(err)
	}
	var got Conversation
	want := Conversation{ConversationID: "5", UserID: "u", Assignee: Person{ID: "9"}, EndedBy: "9",
		EndedAt: TimeOf(time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC))}
	if r := m.Conversation(values, &Scratch{}, &got); r != nil || got != want {
		t.Errorf("got %+v, %v", got, r)
	}
	values[m.fields[cEndedAt].slot] = textValue("1970-01-01")
	if r := m.Conversation(values, &Scratch{}, &got); r == nil || r.Reason != BadTimestamp || r.ConversationID != "5" {
		t.Errorf("got reject %+v", r)
	}
	values[m.fields[cEndedAt].slot] = Value{}
	if r := m.Conversation(values, &Scratch{}, &got); r != nil || got.EndedAt != 0 {
		t.Errorf("got %+v, %v", got, r)
	}
}

func TestMappingExtraAndPayload(t *testing.T) {
	row := rowOf{"conversation_id": textValue("c"), "sent_at": textValue("2024-03-01"), "role": textValue("bot"),
		"a": textValue("x\"\xff"), "b": {Type: TypeInt, Int: 3}, "c": boolValue(true), "d": {}, "e": floatValue(inf())}
	var extra []ExtraField
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		extra = append(extra, ExtraField{name, Field{Column: name}})
	}
	m, values, err := compileFor(SetMessages, messageFields, row, nil, extra...)
	if err != nil {
		t.Fatal(err)
	}
	var got Message
	if r := m.Message(values, &Scratch{}, &got); r != nil {
		t.Fatal(r)
	}
	if d := cmp.Diff([]string{`"x\"\ufffd"`, "3", "true", "", ""}, got.Extra); d != "" {
		t.Error(d)
	}
	want := `{"a":"x\"�","b":3,"c":true,"conversation_id":"c","d":null,"e":null,"role":"bot","sent_at":"2024-03-01"}`
	if got := m.payload(values); got != want {
		t.Errorf("got %s", got)
	}
}

func TestSequence(t *testing.T) {
	for _, c := range []struct {
		value Value
		want  Sequence
	}{
		{Value{}, Sequence{}},
		{textValue("12"), Sequence{Int: 12}},
		{textValue("9007199254740993.25"), Sequence{Int: 9007199254740993, Frac: .25}},
		{textValue("-0.25"), Sequence{Int: -1, Frac: .75}},
		{textValue("1e3"), Sequence{Int: 1000}},
		{floatValue(-2.5), Sequence{Int: -3, Frac: .5}},
		{floatValue(1e300), Sequence{Int: 1<<63 - 1}},
		{Value{Type: TypeUint, Int: -1}, Sequence{Int: 1<<63 - 1}},
	} {
		if got, ok := sequenceOf(c.value); !ok || got != c.want {
			t.Errorf("sequenceOf(%v) = %v, %v, want %v", c.value, got, ok, c.want)
		}
	}
}

func TestFlag(t *testing.T) {
	for text, want := range map[string]bool{"t": true, "TRUE": true, "1": true, "yes": true, "2024-01-01 00:00:00": true, "": false, "f": false, "0": false, "no": false} {
		if got, ok := flagOf(textValue(text)); !ok || got != want {
			t.Errorf("flagOf(%q) = %v, %v", text, got, ok)
		}
	}
}

func TestCompileReportsAllMistakes(t *testing.T) {
	row := rowOf{"chat": textValue("c"), "created": boolValue(true), "author": {Type: TypeOther}, "author.kind": textValue("x")}
	fields := map[string]Field{
		"conversation_id": {Column: "chatt"},
		"sent_at":         {Column: "created"},
		"role":            {Column: "author"},
		"kind":            {Column: "chat", Values: map[string]string{"x": "mesage"}},
		"mesage_id":       {Column: "chat"},
		"body":            {Expr: "chat + mind"},
		"author_name":     {Column: "chat", Prefix: "p", Unit: "s"},
		"changed_at":      {Column: "chat", Unit: "h", Timezone: "Mars/Olympus"},
		"agent_name":      {Column: "nowhere", Optional: true},
		"agent_username":  {Column: "chat", Value: ptr("x")},
	}
	_, _, err := compileFor(SetMessages, messageFields, row, fields)
	var got []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var m *MappingError
		if !errors.As(e, &m) || m.Try == "" {
			t.Fatalf("got %T %v", e, e)
		}
		got = append(got, m.Error())
	}
	want := []string{
		"messages.mesage_id: there is no such field",
		"messages.conversation_id: there is no column chatt in t",
		"messages.sent_at in t: column created is of type boolean, which sent_at cannot take",
		`messages.changed_at: unknown unit "h"`,
		`messages.changed_at: unknown timezone "Mars/Olympus"`,
		"messages.role in t: column author is of type nested value, which role cannot take",
		"messages.author_name: prefix is for ids only",
		"messages.author_name: unit and timezone are for times only",
		"messages.agent_username: value and column exclude each other",
		"messages.body: there is no column mind in t (expression, at 1:8)",
		`messages.kind: values maps "x" to "mesage" is no kind`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	var first *MappingError
	errors.As(err.(interface{ Unwrap() []error }).Unwrap()[1], &first)
	if !strings.HasPrefix(first.Try, "did you mean chat?") {
		t.Errorf("got try %q", first.Try)
	}
}
