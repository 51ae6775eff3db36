package extract

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"
)

// TestNestedTwice has messages in a list in the elements of a list.
func TestNestedTwice(t *testing.T) {
	dir := t.TempDir()
	message := nested(column("id", text), column("at", text), column("text", text), column("unused", text), column("tags", arrow.ListOf(text)))
	fields := []arrow.Field{
		column("account", text), column("unused", text),
		column("chats", nested(column("id", text), column("visitor", arrow.StructOf(column("id", text), column("name", text))), column("messages", message), column("log", text))),
	}
	writeParquet(t, filepath.Join(dir, "m.parquet"), fields, `[
		{"account": "x", "chats": [
			{"id": "1", "visitor": {"id": "v1"}, "messages": [
				{"id": "a", "at": "2024-03-01", "text": "hi", "tags": ["p", "q"]}, {"id": "b", "at": "2024-03-02", "text": "ho"}],
				"log": "[{\"n\": 1, \"when\": \"2024-03-05\"}]"},
			{"id": "2", "messages": []}, {"id": "3", "messages": null, "log": "oops"}, null,
			{"id": "4", "visitor": {"id": "v4"}, "messages": [{"id": "c", "at": "never"}, {"id": "d", "at": "2024-03-03"}]}]},
		{"account": "y", "chats": []}, {"account": "z", "chats": null},
		{"account": "w", "chats": [{"id": "5", "visitor": null, "messages": [{"id": "e", "at": "2024-03-04"}]}]}]`, 2)
	role := "customer"
	for _, c := range []struct {
		nested string
		fields map[string]Field
		where  string
		want   []string
	}{
		{"chats.messages", map[string]Field{
			"message_id": {Column: "id"}, "sent_at": {Column: "at"}, "body": {Expr: `row.account + " " + (tags == nil ? "" : tags[1])`}, "author_id": {Column: "outer.visitor.id"},
		}, "", []string{
			"1 a 2024-03-01T00:00:00Z customer message v1: x q", "1 b 2024-03-02T00:00:00Z customer message v1: x ",
			"4 d 2024-03-03T00:00:00Z customer message v4: x ", "5 e 2024-03-04T00:00:00Z customer message : w ",
			"reject bad_value m.parquet: row group 0, row 0, chats.messages: the element is no object, ",
			`4 reject bad_timestamp m.parquet: row group 0, row 0, chats.messages[2], sent_at: "never" is no time, c`,
		}},
		{"chats.messages", map[string]Field{"message_id": {Column: "id"}, "sent_at": {Column: "at"}, "author_id": {Column: "row.account"}},
			`outer.id in ["4", "5"] and id != "c"`, []string{
				"1 filtered 2", "4 d 2024-03-03T00:00:00Z customer message x: ", "4 filtered 1", "5 e 2024-03-04T00:00:00Z customer message w: ",
				"reject bad_value m.parquet: row group 0, row 0, chats.messages: the element is no object, ",
			}},
		{"chats.log", map[string]Field{"message_id": {Column: "n"}, "sent_at": {Column: "when"}, "author_id": {Column: "outer.visitor.id"}}, "", []string{
			"1 1 2024-03-05T00:00:00Z customer message v1: ",
			"3 reject bad_value m.parquet: row group 0, row 0, chats.log: the text is no JSON, ",
			"reject bad_value m.parquet: row group 0, row 0, chats.log: the element is no object, ",
		}},
	} {
		cfg := testConfig(dir, "m.parquet")
		c.fields["conversation_id"], c.fields["role"] = Field{Column: "outer.id"}, Field{Value: &role}
		cfg.Messages[0].Nested, cfg.Messages[0].Where, cfg.Messages[0].Fields = c.nested, c.where, c.fields
		p := mustOpen(t, cfg)
		if d := cmp.Diff(trimmed(c.want), trimmed(lines(transcripts(t, p, "")))); d != "" {
			t.Errorf("%s (-want +got)\n%s", c.nested, d)
		}
		for _, col := range p.messages[0].mapping.Columns {
			if col.Name == "unused" {
				t.Errorf("%s: a column is read that nothing needs", c.nested)
			}
		}
	}

	cfg := testConfig(dir, "m.parquet")
	cfg.Messages[0].Nested = "chats.visitor"
	var m *MappingError
	if _, err := OpenParquet(t.Context(), cfg); !errors.As(err, &m) || m.Error() != "messages.nested in m.parquet: chats.visitor is of type struct, no list of structs or JSON" {
		t.Errorf("a struct in a list: %v", err)
	}
}

// trimmed are lines without the blank before what has no conversation, sorted.
func trimmed(lines []string) (out []string) {
	for _, line := range lines {
		out = append(out, strings.TrimPrefix(line, " "))
	}
	slices.Sort(out)
	return out
}
