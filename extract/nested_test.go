package extract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"os"
)

// lines tells of every row of the transcripts what tests look at.
func lines(all []Transcript) (out []string) {
	for _, t := range all {
		for _, m := range t.Messages {
			line := fmt.Sprintf("%s %s %s %s %s %s: %s", m.ConversationID, m.MessageID, m.SentAt, m.Role, m.Kind, m.Author.ID, m.Body)
			out = append(out, strings.Join(append([]string{line}, m.Extra...), " "))
		}
		for _, r := range t.Rejects {
			out = append(out, fmt.Sprintf("%s reject %s %s, %s, %s", t.ConversationID, r.Reason, r.Locator, r.Detail, r.MessageID))
		}
		if t.Filtered > 0 {
			out = append(out, fmt.Sprintf("%s filtered %d", t.ConversationID, t.Filtered))
		}
	}
	slices.Sort(out)
	return out
}

var nested = func(fields ...arrow.Field) arrow.DataType { return arrow.ListOf(arrow.StructOf(fields...)) }

// TestNestedShapes has the ways in which vendors nest messages, as structs and
// as JSON texts alike.
func TestNestedShapes(t *testing.T) {
	at := &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	agent := `nick startsWith "agent:" ? (nick in ["agent:system", "agent:trigger"] ? "system" : "agent") : "customer"`
	for _, c := range []struct {
		name   string
		fields []arrow.Field
		rows   string
		set    Set
		want   []string
	}{
		{
			name: "zendesk chat",
			fields: []arrow.Field{column("id", text), column("visitor", arrow.StructOf(column("id", text), column("email", text))),
				column("history", nested(column("type", text), column("timestamp", text), column("nick", text), column("msg", text), column("msg_id", text)))},
			rows: `[
				{"id": "1", "visitor": {"id": "v1"}, "history": [
					{"type": "chat.memberjoin", "timestamp": "2024-03-01T10:00:00Z", "nick": "visitor"},
					{"type": "chat.msg", "timestamp": "2024-03-01T10:00:01Z", "nick": "visitor", "msg": "hi \"you\"\n\u0001", "msg_id": "a"},
					{"type": "chat.msg", "timestamp": "2024-03-01T10:00:02Z", "nick": "agent:7", "msg": "hello", "msg_id": "b"},
					{"type": "chat.msg", "timestamp": "2024-03-01T10:00:03Z", "nick": "agent:trigger", "msg": "auto", "msg_id": "c"}]},
				{"id": "2", "history": []}, {"id": "3", "history": null},
				{"id": "4", "visitor": null, "history": [{"type": "chat.msg", "timestamp": "never", "nick": "visitor", "msg": "secret", "msg_id": "d"}]}]`,
			set: Set{Nested: "history", Fields: map[string]Field{
				"conversation_id": {Column: "row.id"}, "message_id": {Column: "msg_id"}, "sent_at": {Column: "timestamp"},
				"role": {Expr: agent}, "kind": {Expr: `type == "chat.msg" ? "message" : type == "chat.memberjoin" ? "join" : "ignore"`},
				"author_id": {Expr: `nick == "visitor" ? row.visitor.id : split(nick, ":")[1]`}, "body": {Column: "msg"},
			}},
			want: []string{
				"1  1970-01-01 system message :", // the trigger's row is ignored
				"1  2024-03-01T10:00:00Z customer join v1:",
				"1 a 2024-03-01T10:00:01Z customer message v1: hi \"you\"\n\x01",
				"1 b 2024-03-01T10:00:02Z agent message 7: hello",
				`4 reject bad_timestamp chats.parquet: row group 0, row 3, history[0], sent_at: "never" is no time, d`,
			},
		},
		{
			name: "livechat",
			fields: []arrow.Field{column("id", text), column("users", nested(column("id", text), column("type", text))),
				column("thread", arrow.StructOf(column("id", text), column("events", nested(column("id", text), column("created_at", at), column("author_id", text), column("type", text), column("text", text), column("properties", arrow.StructOf(column("x", arrow.PrimitiveTypes.Int64)))))))},
			rows: `[{"id": "chat", "users": [{"id": "u", "type": "customer"}, {"id": "a@b.c", "type": "agent"}], "thread": {"id": "T1", "events": [
				{"id": "1", "created_at": "2024-03-01T10:00:01.000001Z", "author_id": "u", "type": "message", "text": "hi", "properties": {"x": 1}},
				{"id": "2", "created_at": "2024-03-01T10:00:02Z", "author_id": "a@b.c", "type": "message", "text": "hello", "properties": null},
				{"id": "3", "created_at": "2024-03-01T10:00:03Z", "author_id": null, "type": "system_message", "text": "archived"}]}}]`,
			set: Set{Nested: "thread.events", Fields: map[string]Field{
				"conversation_id": {Column: "row.thread.id"}, "message_id": {Column: "id"}, "sent_at": {Column: "created_at"}, "body": {Column: "text"},
				"role":     {Expr: `find(row.users, .id == author_id)?.type ?? "system"`},
				"kind":     {Column: "type", Values: map[string]string{"system_message": "end"}},
				"sequence": {Column: "properties.x"},
			}},
			want: []string{
				"T1 1 2024-03-01T10:00:01.000001Z customer message u: hi",
				"T1 2 2024-03-01T10:00:02Z agent message a@b.c: hello",
				"T1 3 2024-03-01T10:00:03Z system end : archived",
			},
		},
		{
			name: "freshchat",
			fields: []arrow.Field{column("conversation_id", text), column("id", text), column("created_time", text), column("actor_type", text),
				column("message_parts", nested(column("text", arrow.StructOf(column("content", text))), column("image", arrow.StructOf(column("url", text)))))},
			rows: `[
				{"conversation_id": "1", "id": "a", "created_time": "2024-03-01", "actor_type": "user", "message_parts": [{"text": {"content": "first"}}, {"text": {"content": "second"}}]},
				{"conversation_id": "1", "id": "b", "created_time": "2024-03-01", "actor_type": "agent", "message_parts": [{"image": {"url": "u"}}]},
				{"conversation_id": "1", "id": "c", "created_time": "2024-03-01", "actor_type": "agent", "message_parts": []},
				{"conversation_id": "1", "id": "d", "created_time": "2024-03-01", "actor_type": "agent", "message_parts": null}]`,
			set: Set{Fields: map[string]Field{
				"message_id": {Column: "id"}, "sent_at": {Column: "created_time"}, "role": {Column: "actor_type", Values: map[string]string{"user": "customer"}},
				"body": {Column: "message_parts[0].text.content"}, "author_id": {Expr: `join(map(message_parts ?? [], .text?.content ?? "-"), "+")`},
			}},
			want: []string{
				"1 a 2024-03-01T00:00:00Z customer message first+second: first",
				"1 b 2024-03-01T00:00:00Z agent message -:",
				"1 c 2024-03-01T00:00:00Z agent message :",
				"1 d 2024-03-01T00:00:00Z agent message :",
			},
		},
		{
			name: "intercom",
			fields: []arrow.Field{column("conversation_id", text), column("id", arrow.PrimitiveTypes.Int64), column("created_at", arrow.PrimitiveTypes.Int64),
				column("part_type", text), column("author", arrow.StructOf(column("type", text), column("id", text))), column("body", text)},
			rows: `[
				{"conversation_id": "1", "id": 1, "created_at": 1709287200, "part_type": "comment", "author": {"type": "lead", "id": "u"}, "body": "b"},
				{"conversation_id": "1", "id": 2, "created_at": 1709287201, "part_type": "close", "author": {"type": "admin", "id": "7"}},
				{"conversation_id": "1", "id": 3, "created_at": 1709287202, "part_type": "note", "author": null}]`,
			set: Set{Where: `author.type != "bot"`, Fields: map[string]Field{
				"message_id": {Column: "id"}, "sent_at": {Column: "created_at", Unit: "s"}, "author_id": {Column: "author.id"},
				"role": {Column: "author.type", Values: map[string]string{"lead": "customer", "admin": "agent"}},
				"kind": {Expr: `part_type == "close" ? "end" : part_type == "note" ? "note" : "message"`},
			}},
			want: []string{
				"1  1970-01-01 ? note :",
				"1 1 2024-03-01T10:00:00Z customer message u: b",
				"1 2 2024-03-01T10:00:01Z agent end 7:",
			},
		},
	} {
		for _, form := range []string{"columns", "json"} {
			t.Run(c.name+"/"+form, func(t *testing.T) {
				dir := t.TempDir()
				fields, rows := c.fields, c.rows
				if form == "json" {
					fields, rows = asJSON(t, fields, rows)
				}
				writeParquet(t, filepath.Join(dir, "chats.parquet"), fields, rows, 2000)
				cfg := testConfig(dir)
				set := c.set
				set.Files = []string{"chats.parquet"}
				if form == "json" { // as a whole a JSON text is a text, unless it is opened
					set.Fields = maps.Clone(set.Fields)
					for name, f := range set.Fields {
						f.Expr = strings.NewReplacer("find(row.users", "find(fromJSON(row.users)",
							"map(message_parts ?? []", `map(type(message_parts) == "nil" ? [] : let x = fromJSON(message_parts); type(x) == "string" ? fromJSON(x) : x`).Replace(f.Expr)
						set.Fields[name] = f
					}
				}
				cfg.Messages = []Set{set}
				got := lines(transcripts(t, mustOpen(t, cfg), ""))
				var want []string
				for _, line := range c.want {
					want = append(want, tidy(line))
				}
				for i := range got {
					got[i] = tidy(got[i])
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Error(d)
				}
			})
		}
	}
}

// tidy makes lines of rows that are ignored, and have no time, alike.
func tidy(line string) string {
	line = strings.TrimSpace(strings.ReplaceAll(line, "1970-01-01", ""))
	return strings.ReplaceAll(line, " ?", " ")
}

// asJSON writes columns of structs and lists as JSON texts, every other one
// inside of a JSON string.
func asJSON(t *testing.T, fields []arrow.Field, rows string) ([]arrow.Field, string) {
	t.Helper()
	var all []map[string]any
	if err := json.Unmarshal([]byte(rows), &all); err != nil {
		t.Fatal(err)
	}
	fields = slices.Clone(fields)
	for i, f := range fields {
		if !arrow.IsNested(f.Type.ID()) {
			continue
		}
		if strings.HasPrefix(fmt.Sprint(f.Type), "struct") && strings.Contains(rows, "part_type") {
			continue
		}
		fields[i] = column(f.Name, text)
		for n, row := range all {
			if row[f.Name] == nil {
				continue
			}
			encoded, err := json.Marshal(row[f.Name])
			if err != nil {
				t.Fatal(err)
			}
			if n%2 == 1 {
				encoded, _ = json.Marshal(string(encoded))
			}
			row[f.Name] = " " + string(encoded)
		}
	}
	out, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return fields, string(out)
}

func TestNestedRejects(t *testing.T) {
	dir := t.TempDir()
	writeParquet(t, filepath.Join(dir, "m.parquet"), []arrow.Field{column("id", text), column("history", text)}, `[
		{"id": "a", "history": "[{\"id\": 1, \"at\": \"2024-03-01\"}, 7, null, \"{\\\"id\\\": 2, \\\"at\\\": \\\"2024-03-01\\\"}\", [], \"x\"]"},
		{"id": "b", "history": "no json"}, {"id": "c", "history": "{}"}, {"id": "d", "history": "null"}, {"id": "e", "history": " "}, {"id": "f", "history": "[]"},
		{"id": null, "history": "[{\"id\": 3, \"at\": \"2024-03-01\"}]"}]`, 2)
	cfg := testConfig(dir)
	cfg.KeepPayload = true
	cfg.Messages = []Set{{Files: []string{"m.parquet"}, Nested: "history", Fields: map[string]Field{
		"conversation_id": {Column: "row.id"}, "message_id": {Column: "id"}, "sent_at": {Column: "at"}, "role": {Value: ptr("customer")},
	}}}
	all := transcripts(t, mustOpen(t, cfg), "")
	want := []string{
		" reject bad_id m.parquet: row group 3, row 6, history[0], conversation_id is missing, 3",
		"a 1 2024-03-01T00:00:00Z customer message : ",
		"a 2 2024-03-01T00:00:00Z customer message : ",
		"a reject bad_value m.parquet: row group 0, row 0, history[1], history: the element is no object, ",
		"a reject bad_value m.parquet: row group 0, row 0, history[2], history: the element is no object, ",
		"a reject bad_value m.parquet: row group 0, row 0, history[4], history: the element is no object, ",
		"a reject bad_value m.parquet: row group 0, row 0, history[5], history: the element is no object, ",
		"b reject bad_value m.parquet: row group 0, row 1, history: the text is no JSON, ",
		"c reject bad_value m.parquet: row group 1, row 2, history: the JSON is no list, ",
	}
	if d := cmp.Diff(want, lines(all)); d != "" {
		t.Error(d)
	}
	rows := 0
	for _, tr := range all {
		rows += tr.Rows()
	}
	if rows != len(want) {
		t.Errorf("got %d rows", rows)
	}
	payload := `{"agent_id":null,"agent_name":null,"agent_username":null,"at":"2024-03-01","author_id":null,"author_name":null,"author_username":null,` +
		`"body":null,"changed_at":null,"deleted":null,"id":3,"kind":null,"row.id":null,"sequence":null}`
	if got := all[0].Rejects[0].Payload; got != payload {
		t.Errorf("got payload %s", got)
	}
}

func TestNestedMistakes(t *testing.T) {
	dir := t.TempDir()
	writeParquet(t, filepath.Join(dir, "m.parquet"), []arrow.Field{
		column("id", text), column("n", arrow.PrimitiveTypes.Int64), column("tags", arrow.ListOf(arrow.PrimitiveTypes.Int64)),
		column("history", nested(column("msg", text), column("at", text), column("parts", nested(column("x", text))))),
	}, `[]`, 1)
	fields := func(change map[string]Field) map[string]Field {
		all := map[string]Field{"conversation_id": {Column: "row.id"}, "sent_at": {Column: "at"}, "role": {Value: ptr("customer")}}
		for name, f := range change {
			all[name] = f
		}
		return all
	}
	for _, c := range []struct {
		nested  string
		change  map[string]Field
		problem string
		try     string
	}{
		{"histroy", nil, "messages.nested: there is no column histroy in m.parquet", "history"},
		{"n", nil, "messages.nested in m.parquet: column n is of type Int(bitWidth=64, isSigned=true) (INT64), no list of structs or JSON", ""},
		{"tags", nil, "messages.nested in m.parquet: column tags is of type list, no list of structs or JSON", ""},
		{"history", map[string]Field{"body": {Column: "mgs"}}, "messages.body: there is no column mgs in history of m.parquet", "did you mean msg?"},
		{"history", map[string]Field{"body": {Column: "row.ip"}}, "messages.body: there is no column row.ip in history of m.parquet", "row.id"},
		{"history", map[string]Field{"body": {Expr: "row.id + mgs"}}, "messages.body: there is no column mgs in history of m.parquet (expression, at 1:10)", "did you mean msg?"},
		{"history", map[string]Field{"body": {Expr: "row"}}, "messages.body: row cannot be used as a whole (expression, at 1:1)", "row.id"},
		{"history", map[string]Field{"body": {Column: "parts"}}, "messages.body in history of m.parquet: column parts is of type list, which body cannot take", ""},
		{"history", map[string]Field{"body": {Column: "parts.x"}}, "messages.body: there is no column parts.x in history of m.parquet", "parts[0]"},
		{"history", map[string]Field{"body": {Column: "parts[0].x"}}, "", ""},
	} {
		cfg := testConfig(dir)
		cfg.Messages = []Set{{Files: []string{"m.parquet"}, Nested: c.nested, Fields: fields(c.change)}}
		_, err := OpenParquet(context.Background(), cfg)
		if c.problem == "" {
			if err != nil {
				t.Errorf("got %v", err)
			}
			continue
		}
		var m *MappingError
		if !errors.As(err, &m) || m.Error() != c.problem || !strings.Contains(m.Try, c.try) {
			t.Errorf("got %v, try %q; want %s", err, m.Try, c.problem)
		}
	}
}

// TestLegacyLists reads lists as old writers leave them.
func TestLegacyLists(t *testing.T) {
	must := func(n schema.Node, err error) schema.Node {
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	str := func(name string, rep parquet.Repetition) schema.Node {
		return schema.NewByteArrayNode(name, rep, -1)
	}
	pair := schema.FieldList{str("msg", parquet.Repetitions.Optional), str("at", parquet.Repetitions.Required)}
	list := func(repeated schema.Node) schema.Node {
		return must(schema.NewGroupNodeConverted("history", parquet.Repetitions.Optional, schema.FieldList{repeated}, schema.ConvertedTypes.List, -1))
	}
	group := func(name string, fields schema.FieldList) schema.Node {
		return must(schema.NewGroupNode(name, parquet.Repetitions.Repeated, fields, -1))
	}
	element := must(schema.NewGroupNode("element", parquet.Repetitions.Required, pair, -1))
	for name, history := range map[string]schema.Node{
		"two levels":   list(group("bag", pair)),
		"array":        list(group("array", pair)),
		"tuple":        list(group("history_tuple", pair)),
		"three levels": list(group("list", schema.FieldList{element})),
		"protobuf":     group("history", pair),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{str("id", parquet.Repetitions.Required), history}, -1)
			if err != nil {
				t.Fatal(err)
			}
			def := int16(2)
			if name == "protobuf" {
				def = 1
			}
			writeLevels(t, filepath.Join(dir, "m.parquet"), root, def)
			cfg := testConfig(dir)
			cfg.Messages = []Set{{Files: []string{"m.parquet"}, Nested: "history", Fields: map[string]Field{
				"conversation_id": {Column: "row.id"}, "sent_at": {Column: "at"}, "body": {Column: "msg"}, "role": {Value: ptr("customer")},
			}}}
			want := []string{
				"a  2024-03-01T00:00:00Z customer message : one", "a  2024-03-02T00:00:00Z customer message : ", "c  2024-03-03T00:00:00Z customer message : three",
			}
			if d := cmp.Diff(want, lines(transcripts(t, mustOpen(t, cfg), ""))); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestOldListOfLists reads lists in a list of which neither has a group around
// its elements.
func TestOldListOfLists(t *testing.T) {
	inner := schema.MustGroup(schema.NewGroupNodeConverted("array", parquet.Repetitions.Repeated,
		schema.FieldList{schema.NewInt32Node("array", parquet.Repetitions.Repeated, -1)}, schema.ConvertedTypes.List, -1))
	outer := schema.MustGroup(schema.NewGroupNodeConverted("v", parquet.Repetitions.Optional, schema.FieldList{inner}, schema.ConvertedTypes.List, -1))
	path := filepath.Join(t.TempDir(), "m.parquet")
	writeLeaf(t, path, outer, func(w file.ColumnChunkWriter) error {
		_, err := w.(*file.Int32ColumnChunkWriter).WriteBatch([]int32{1, 2, 3}, []int16{3, 3, 3, 0, 1, 2}, []int16{0, 2, 1, 0, 0, 0})
		return err
	})
	f, err := statFile("", path)
	if err != nil {
		t.Fatal(err)
	}
	p := &parquetFile{sourceFile: f}
	columns, err := p.readFooter(context.Background(), minPageLimit)
	if err != nil {
		t.Fatal(err)
	}
	m := &Mapping{whole: map[int]bool{0: true}}
	m.slot(columns[0])
	if err := p.use(m); err != nil {
		t.Fatal(err)
	}
	open, err := p.openReader(context.Background(), minPageLimit)
	if err != nil {
		t.Fatal(err)
	}
	defer open.file.Close()
	var got []string
	err = open.readGroup(context.Background(), 0, func(row []Value, _ int64) error {
		got = append(got, strings.Clone(row[0].Str))
		return nil
	}, func(int64) {})
	if want := []string{"[[1,2],[3]]", "", "[]", "[[]]"}; err != nil || !cmp.Equal(want, got) {
		t.Errorf("got %q, %v", got, err)
	}
}

// writeLevels writes three rows, of two, no and one elements; def is the level
// at which an element is present.
func writeLevels(t *testing.T, path string, root *schema.GroupNode, def int16) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := file.NewParquetWriter(f, root)
	g, err := w.AppendRowGroupChecked()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		values     []string
		defs, reps []int16
	}{
		{[]string{"a", "b", "c"}, nil, nil},
		{[]string{"one", "three"}, []int16{def + 1, def, 0, def + 1}, []int16{0, 1, 0, 0}},
		{[]string{"2024-03-01", "2024-03-02", "2024-03-03"}, []int16{def, def, 0, def}, []int16{0, 1, 0, 0}},
	} {
		col, err := g.NextColumn()
		if err != nil {
			t.Fatal(err)
		}
		var values []parquet.ByteArray
		for _, v := range c.values {
			values = append(values, parquet.ByteArray(v))
		}
		if _, err := col.(*file.ByteArrayColumnChunkWriter).WriteBatch(values, c.defs, c.reps); err != nil {
			t.Fatal(err)
		}
		if err := col.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNestedLikeFlat holds for any rows: as a list in one row for each chat, or
// as a JSON text there, they give the transcripts that they give as rows.
func TestNestedLikeFlat(t *testing.T) {
	dir := t.TempDir()
	element := arrow.StructOf(plainFields[1:]...)
	rapid.Check(t, func(t *rapid.T) {
		rows := append([]genRow{}, rapid.SliceOfN(genRowValues, 0, 30).Draw(t, "rows")...)
		for i := range rows {
			rows[i].Body = rapid.StringMatching(`[a-z"\\\n{}\[\]é€😀]{0,20}`).Draw(t, "text")
		}
		type chat struct {
			ID      *string  `json:"conversation_id"`
			History []genRow `json:"history"`
			Text    string   `json:"text"`
		}
		chats := []*chat{}
		for _, r := range rows {
			i := slices.IndexFunc(chats, func(c *chat) bool { return *c.ID == *r.Conversation })
			if i < 0 || rapid.Bool().Draw(t, "new chat") {
				i, chats = len(chats), append(chats, &chat{ID: r.Conversation})
			}
			chats[i].History = append(chats[i].History, r)
		}
		for _, c := range chats {
			c.Text = mustJSON(t, c.History)
		}
		groups := int64(rapid.IntRange(1, 10).Draw(t, "rows in a group"))
		writeParquet(t, filepath.Join(dir, "m.parquet"), plainFields, mustJSON(t, rows), groups)
		writeParquet(t, filepath.Join(dir, "n.parquet"), []arrow.Field{plainFields[0], column("history", arrow.ListOf(element)), column("text", text)}, mustJSON(t, chats), groups,
			parquet.WithDataPageSize(64), parquet.WithDictionaryDefault(false))
		want := expectNested(transcripts(t, mustOpen(t, testConfig(dir, "m.parquet")), ""))
		for _, list := range []string{"history", "text"} {
			cfg := testConfig(dir, "n.parquet")
			cfg.Messages[0].Nested = list
			cfg.Messages[0].Fields = map[string]Field{"conversation_id": {Column: "row.conversation_id"}}
			if d := cmp.Diff(want, expectNested(transcripts(t, mustOpen(t, cfg), ""))); d != "" {
				t.Fatalf("%s: %s", list, d)
			}
		}
	})
}

func mustJSON(t failer, v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	return string(out)
}

// expectNested leaves out what differs between the two: where a row lies.
func expectNested(all []Transcript) []Transcript {
	for i := range all {
		for j := range all[i].Messages {
			all[i].Messages[j].Extra = nil
		}
		sortMessages(all[i].Messages)
		for j := range all[i].Rejects {
			all[i].Rejects[j].Locator = ""
		}
		slices.SortFunc(all[i].Rejects, func(a, b Reject) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return all
}

// TestNestedTypes reads every type out of a list as it is read from a column.
func TestNestedTypes(t *testing.T) {
	fields := []arrow.Field{
		column("b", arrow.FixedWidthTypes.Boolean), column("i", arrow.PrimitiveTypes.Int32), column("u", arrow.PrimitiveTypes.Uint64),
		column("f", arrow.PrimitiveTypes.Float64), column("d", &arrow.Decimal128Type{Precision: 30, Scale: 3}), column("s", text),
		column("at", &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}), column("wall", &arrow.TimestampType{Unit: arrow.Millisecond}),
		column("day", arrow.FixedWidthTypes.Date32), column("fixed", &arrow.FixedSizeBinaryType{ByteWidth: 3}), column("clock", arrow.FixedWidthTypes.Time64us),
	}
	row := `{"b": true, "i": -5, "u": 18446744073709551615, "f": 1.5, "d": "12345678901234567890.120", "s": "é\"\\\u0007",
		"at": "1969-12-31T23:59:59.999999999Z", "wall": "2024-02-29T10:00:00.5", "day": "2024-02-29", "fixed": "YWJj", "clock": "10:00:00"}`
	dir := t.TempDir()
	all := append([]arrow.Field{column("conversation_id", text), column("list", nested(fields...))}, fields...)
	flat := strings.TrimSuffix(strings.TrimPrefix(row, "{"), "}")
	writeParquet(t, filepath.Join(dir, "m.parquet"), all, `[{"conversation_id": "c", "list": [`+row+`, {}], `+flat+`}, {"conversation_id": "d", "list": [null, {}]}]`, 10)
	cfg := testConfig(dir)
	set := Set{Files: []string{"m.parquet"}, Fields: map[string]Field{"conversation_id": {}, "sent_at": {Column: "wall", Timezone: "Europe/Berlin"}, "role": {Value: ptr("bot")}}}
	var extra []ExtraField
	for _, f := range fields[:len(fields)-1] {
		extra = append(extra, ExtraField{f.Name, Field{Column: f.Name}}, ExtraField{f.Name + "[]", Field{Column: "list[0]." + f.Name}},
			ExtraField{f.Name + "?", Field{Expr: "list[0]?." + f.Name}}, ExtraField{f.Name + "-", Field{Column: "list[-2]." + f.Name}})
	}
	cfg.Messages, cfg.Extra = []Set{set}, append(extra, ExtraField{"whole", Field{Column: "list"}})
	got := transcripts(t, mustOpen(t, cfg), "")
	i := slices.IndexFunc(got, func(t Transcript) bool { return t.ConversationID == "c" })
	values := got[i].Messages[0].Extra
	for i := 0; i < len(extra); i += 4 {
		if values[i] == "" || values[i] != values[i+1] || values[i] != values[i+3] {
			t.Errorf("%s: got %q", extra[i].Name, values[i:i+4])
		}
	}
	want := `[{"b":true,"i":-5,"u":18446744073709551615,"f":1.5,"d":12345678901234567890.12,"s":"é\"\\\u0007","at":"1969-12-31T23:59:59.999999999Z","wall":"2024-02-29T10:00:00.5","day":"2024-02-29","fixed":"616263","clock":null},` +
		`{"b":null,"i":null,"u":null,"f":null,"d":null,"s":null,"at":null,"wall":null,"day":null,"fixed":null,"clock":null}]`
	if d := cmp.Diff(want, values[len(values)-1]); d != "" {
		t.Error(d)
	}
}

func TestNestedReadsOnlyWhatIsMapped(t *testing.T) {
	dir := t.TempDir()
	writeParquet(t, filepath.Join(dir, "m.parquet"), []arrow.Field{
		column("id", text), column("big", text), column("history", nested(column("msg", text), column("at", text), column("big", text), column("parts", nested(column("x", text), column("y", text))))),
	}, `[]`, 1)
	cfg := testConfig(dir)
	cfg.Messages = []Set{{Files: []string{"m.parquet"}, Nested: "history", Fields: map[string]Field{
		"conversation_id": {Column: "row.id"}, "sent_at": {Column: "at"}, "role": {Value: ptr("customer")}, "body": {Expr: "parts[0].y"},
	}}}
	p := mustOpen(t, cfg)
	var leaves []int
	for i, col := range p.messages[0].mapping.Columns {
		if s := p.messages[0].shapes[i]; s != nil {
			leaves = append(leaves, s.leaves(nil)...)
		} else {
			leaves = append(leaves, col.index)
		}
	}
	slices.Sort(leaves)
	if d := cmp.Diff([]int{0, 3, 6}, leaves); d != "" { // id, history.at, history.parts.y
		t.Error(d)
	}
}
