package extract

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"
)

// wantMapping compares what is proposed with lines "field: column".
func wantMapping(t *testing.T, p *Proposal, want ...string) {
	t.Helper()
	var got []string
	for _, f := range p.Fields {
		source := f.Field.Column
		if f.Field.Expr != "" {
			source = "expr " + f.Field.Expr
		}
		if f.Field.Unit != "" {
			source += " in " + f.Field.Unit
		}
		got = append(got, f.Name+": "+source)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// exported is a file of rows, given as one JSON object each, whose columns have
// the types that their first values have unless types says otherwise.
func exported(t *testing.T, rows []map[string]any, types map[string]arrow.DataType) *Table {
	t.Helper()
	return inspectSet(t, writeExport(t, rows, types), Set{Files: []string{"export.parquet"}})
}

func writeExport(t *testing.T, rows []map[string]any, types map[string]arrow.DataType) (dir string) {
	t.Helper()
	var fields []arrow.Field
	for name, value := range rows[0] {
		switch value.(type) {
		case string, nil:
			types[name] = orElse(types[name], arrow.BinaryTypes.String)
		case bool:
			types[name] = orElse(types[name], arrow.FixedWidthTypes.Boolean)
		case int:
			types[name] = orElse(types[name], arrow.PrimitiveTypes.Int64)
		}
		fields = append(fields, column(name, types[name]))
	}
	slices.SortFunc(fields, func(a, b arrow.Field) int { return strings.Compare(a.Name, b.Name) })
	text, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	writeParquet(t, dir+"/export.parquet", fields, string(text), 100)
	return dir
}

func orElse(given, usual arrow.DataType) arrow.DataType {
	if given != nil {
		return given
	}
	return usual
}

func inspectSet(t *testing.T, dir string, set Set) *Table {
	t.Helper()
	table, err := InspectParquet(t.Context(), testConfig(dir), set)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// talks calls row for every message of some conversations.
func talks(conversations, messages int, row func(c, m, n int)) {
	for n := range conversations * messages {
		row(n%conversations, n/conversations, n)
	}
}

// sentence is a text as people write it.
func sentence(n int) string { return fmt.Sprintf("Hello, this is question number %d of today.", n) }

func TestProposeOwnTable(t *testing.T) {
	var rows []map[string]any
	talks(10, 6, func(c, m, n int) {
		rows = append(rows, map[string]any{
			"id": 5000 + n, "chat_id": 100 + c, "author_type": []string{"user", "admin", "bot"}[m%3], "author_id": fmt.Sprintf("p%d%d", m%3, c%4),
			"author_name": "Ann", "text": sentence(n), "created_at": 1_700_000_000_000 + n*1000, "inserted_at": 1_700_000_100_000 + n*1000,
			"part_type": []string{"comment", "comment", "close"}[m%3], "contact_id": fmt.Sprintf("c%d", c), "inbox_id": 1, "seq": m, "is_deleted": false, "team_name": "blue",
		})
	})
	p := ProposeMessages(exported(t, rows, map[string]arrow.DataType{}))
	wantMapping(t, p, "conversation_id: chat_id", "message_id: id", "sent_at: created_at in ms", "changed_at: inserted_at in ms", "role: author_type",
		"kind: part_type", "author_id: author_id", "author_name: author_name", "body: text", "user_id: contact_id", "sequence: seq", "deleted: is_deleted")
	if role := p.Field("role"); !cmp.Equal(role.Field.Values, map[string]string{"user": "customer", "admin": "agent"}) || len(role.Unknown) > 0 {
		t.Errorf("role %+v", role)
	}
	if kind := p.Field("kind"); !cmp.Equal(kind.Field.Values, map[string]string{"comment": "message", "close": "end"}) {
		t.Errorf("kind %+v", kind)
	}
}

// TestProposeStrangeNames: what stands in columns says what names do not.
func TestProposeStrangeNames(t *testing.T) {
	var rows []map[string]any
	talks(12, 5, func(c, m, n int) {
		rows = append(rows, map[string]any{
			"DialogueID": c, "turnId": fmt.Sprintf("%d-%d", c, m), "Speaker": []string{"User", "Wizard", "Oracle"}[m%3],
			"UnixTime": 1_589_375_958 + n, "Utterance": sentence(n),
		})
	})
	p := ProposeMessages(exported(t, rows, map[string]arrow.DataType{}))
	wantMapping(t, p, "conversation_id: DialogueID", "message_id: turnId", "sent_at: UnixTime in s", "role: Speaker", "body: Utterance")
	if role := p.Field("role"); !slices.Equal(role.Unknown, []string{"Oracle"}) || role.Field.Values["Wizard"] != "agent" {
		t.Errorf("role %+v", role)
	}
}

// TestProposeChatwootLike: who a user is depends on what the others are called,
// and numbers say nothing.
func TestProposeChatwootLike(t *testing.T) {
	var rows []map[string]any
	talks(10, 4, func(c, m, n int) {
		rows = append(rows, map[string]any{
			"id": 1 + n, "content": "<p>" + sentence(n) + "</p>", "account_id": 1, "inbox_id": 1 + c%2, "conversation_id": c, "message_type": m % 2,
			"created_at": "2024-05-01T10:00:00", "updated_at": "2024-05-01T10:00:09", "private": m == 3,
			"sender_type": []string{"Contact", "User", "AgentBot", "User"}[m], "sender_id": c%3 + m,
		})
	})
	for i := range rows {
		rows[i]["created_at"] = fmt.Sprintf("2024-05-01T10:%02d:%02d", i/60, i%60)
	}
	naive := &arrow.TimestampType{Unit: arrow.Microsecond}
	p := ProposeMessages(exported(t, rows, map[string]arrow.DataType{"created_at": naive, "updated_at": naive}))
	wantMapping(t, p, "conversation_id: conversation_id", "message_id: id", "sent_at: created_at", "changed_at: updated_at", "role: sender_type",
		`kind: expr private == true ? "note" : "message"`, "author_id: sender_id", "body: content", "user_id: sender_id")
	if got := p.Field("role").Field.Values; !cmp.Equal(got, map[string]string{"Contact": "customer", "User": "agent", "AgentBot": "bot"}) {
		t.Errorf("roles %v", got)
	}
	if !p.HTML || !strings.Contains(p.Field("sent_at").Why, "without a zone") {
		t.Errorf("HTML %v, sent_at %q", p.HTML, p.Field("sent_at").Why)
	}
}

// TestProposeNested: a list of messages in each row, as structs, and as JSON.
func TestProposeNested(t *testing.T) {
	author := arrow.StructOf(column("type", arrow.BinaryTypes.String), column("id", arrow.BinaryTypes.String), column("name", arrow.BinaryTypes.String))
	part := arrow.StructOf(column("id", arrow.BinaryTypes.String), column("body", arrow.BinaryTypes.String), column("created_at", arrow.PrimitiveTypes.Int64),
		column("part_type", arrow.BinaryTypes.String), column("author", author))
	var structs, texts []map[string]any
	for c := range 8 {
		var parts []any
		for m := range 4 {
			parts = append(parts, map[string]any{
				"id": fmt.Sprintf("part%d", c*4+m), "body": sentence(c*4 + m), "created_at": 1_700_000_000 + c*100 + m, "part_type": "comment",
				"author": map[string]any{"type": []string{"user", "admin"}[m%2], "id": fmt.Sprint(m % 2), "name": "Ann"},
			})
		}
		row := map[string]any{"id": fmt.Sprintf("chat%d", c), "state": "closed", "parts": parts}
		structs = append(structs, row)
		text, err := json.Marshal(parts)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, map[string]any{"id": row["id"], "state": row["state"], "parts": string(text)})
	}
	for name, dir := range map[string]string{
		"structs": writeExport(t, structs, map[string]arrow.DataType{"parts": arrow.ListOf(part)}),
		"JSON":    writeExport(t, texts, map[string]arrow.DataType{}),
	} {
		t.Run(name, func(t *testing.T) {
			set := Set{Files: []string{"export.parquet"}}
			flat := inspectSet(t, dir, set)
			if p := ProposeMessages(flat); len(p.Missing) == 0 || !slices.Equal(flat.Lists, []string{"parts"}) {
				t.Errorf("the row itself: missing %v, lists %v", p.Missing, flat.Lists)
			}
			set.Nested = "parts"
			p := ProposeMessages(inspectSet(t, dir, set))
			wantMapping(t, p, "conversation_id: row.id", "message_id: id", "sent_at: created_at in s", "role: author.type", "kind: part_type",
				"author_id: author.id", "author_name: author.name", "body: body", "user_id: author.id")
			set.Fields = p.Set()
			cfg := testConfig(dir)
			cfg.Messages = []Set{set}
			if all := transcripts(t, mustOpen(t, cfg), ""); len(all) != 8 || len(all[0].Messages) != 4 || all[0].Messages[0].UserID == "" {
				t.Errorf("the proposal reads %d conversations", len(all))
			}
		})
	}
}

func TestProposeOtherSets(t *testing.T) {
	var chats, people []map[string]any
	for c := range 9 {
		chats = append(chats, map[string]any{"id": 100 + c, "contact_id": fmt.Sprintf("c%d", c%4), "assignee_id": c % 3, "closed_at": 1_700_000_000 + c, "updated_at": 1_700_000_100 + c, "subject": "help"})
		people = append(people, map[string]any{"id": c, "full_name": fmt.Sprintf("Ann %d", c), "email": fmt.Sprintf("%d@example.com", c), "team": "blue"})
	}
	wantMapping(t, ProposeConversations(exported(t, chats, map[string]arrow.DataType{}), "chat_id"),
		"conversation_id: id", "user_id: contact_id", "assignee_id: assignee_id", "ended_at: closed_at in s", "changed_at: updated_at in s")
	wantMapping(t, ProposeAgents(exported(t, people, map[string]arrow.DataType{})), "id: id", "name: full_name", "username: email")
}

func TestProposeNothing(t *testing.T) {
	rows := []map[string]any{{"product": "shoe", "price": 12}, {"product": "hat", "price": 7}}
	p := ProposeMessages(exported(t, rows, map[string]arrow.DataType{}))
	if want := []string{"conversation_id", "sent_at", "role"}; !slices.Equal(p.Missing, want) {
		t.Errorf("missing %v of %+v", p.Missing, p.Fields)
	}
}

func TestGuessWords(t *testing.T) {
	for _, c := range []struct {
		column string
		values []string
		want   string
	}{
		{"author_type", []string{"user", "lead", "admin", "bot", "team"}, "map[admin:agent lead:customer team:system user:customer] []"},
		{"sender_type", []string{"Contact", "User"}, "map[Contact:customer User:agent] []"},
		{"is_inbound", []string{"true", "false"}, "map[false:agent true:customer] []"},
		{"from_agent", []string{"true", "false"}, "map[false:customer true:agent] []"},
		{"ok", []string{"true", "false"}, "map[] [true false]"},
		{"role", []string{"customer", "agent", "CUSTOM_BOT", "x7"}, "map[CUSTOM_BOT:bot] [x7]"},
	} {
		guessed, unknown := GuessRoles(c.column, c.values)
		if got := fmt.Sprint(guessed, " ", unknown); got != c.want {
			t.Errorf("roles of %s: %s, want %s", c.column, got, c.want)
		}
	}
	for _, c := range []struct {
		values []string
		want   string
	}{
		{[]string{"comment", "close", "note"}, "map[close:end comment:message] []"},
		{[]string{"MESSAGE", "COMMENT"}, "map[COMMENT:note MESSAGE:message] []"},
		{[]string{"chat.msg", "chat.memberjoin", "chat.memberleave", "wobble"}, "map[chat.memberjoin:join chat.memberleave:leave chat.msg:message] [wobble]"},
	} {
		guessed, unknown := GuessKinds(c.values)
		if got := fmt.Sprint(guessed, " ", unknown); got != c.want {
			t.Errorf("kinds %v: %s, want %s", c.values, got, c.want)
		}
	}
}

func TestProposeTable(t *testing.T) {
	all := []TableOutline{
		{Name: "public.users", Columns: []string{"id", "name", "email", "created_at"}},
		{Name: "chats", Columns: []string{"id", "user_id", "created_at", "status"}},
		{Name: "support.chat_messages", Columns: []string{"id", "chat_id", "author_type", "text", "created_at"}},
		{Name: "orders", Columns: []string{"id", "sku"}},
	}
	if best, _ := ProposeTable(all); best != "support.chat_messages" {
		t.Errorf("got %q", best)
	}
	if best, likeness := ProposeTable([]TableOutline{all[0], all[3]}); best != "" {
		t.Errorf("got %q, %d", best, likeness)
	}
}
