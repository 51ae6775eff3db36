//go:build unix

package extract

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// TestPostgresNested reads messages from arrays of rows and of JSON, and values
// from what lies inside of arrays and rows.
func TestPostgresNested(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `SET timezone = 'Asia/Kolkata'`,
		`CREATE TYPE mood AS ENUM ('calm', 'cross')`, `CREATE DOMAIN price AS numeric(9, 2)`,
		`CREATE TYPE person AS (id bigint, "Full Name" text, tags text[])`,
		`CREATE TYPE part AS (no price, at timestamptz, wall timestamp, day date, mood mood, who person, body text, doc jsonb, gone bool, raw bytea)`,
		`CREATE DOMAIN parts AS part[]`,
		`CREATE TABLE chats (id int, history parts, docs jsonb[], lone part)`,
		`INSERT INTO chats VALUES (1, ARRAY[
				(1.50, '2025-01-02 03:04:05.678901Z', '2025-01-02 03:04', '2025-01-02', 'calm', (9007199254740993, 'Ann "é"', '{a,NULL,c}'), E'{"t": "in text"}', '{"k": [1, {"deep": "yes"}]}', true, '\xff'),
				(2.00, 'infinity', '2025-01-02 03:04', NULL, NULL, NULL, 'bad time', NULL, NULL, NULL),
				NULL]::part[],
			ARRAY['{"n": 7, "at": "2025-01-01", "text": "hi"}', '3']::jsonb[],
			(3, '2025-01-03Z', NULL, NULL, 'cross', (5, 'Bob', '{}'), NULL, NULL, NULL, NULL)::part),
			(2, NULL, '{}', NULL)`)
	fields := map[string]Field{
		"conversation_id": {Column: "row.id"}, "message_id": {Column: "no"}, "sent_at": {Column: "at"}, "role": {Column: "mood", Values: map[string]string{"calm": "customer", "null": "agent"}},
		"author_id": {Column: "who.id"}, "author_name": {Column: `who."Full Name"`}, "author_username": {Column: "who.tags[2]"},
		"body": {Column: "body.t"}, "agent_name": {Column: "doc.k[1].deep"}, "changed_at": {Column: "day"}, "deleted": {Column: "gone"}, "anonymous_id": {Expr: "len(who?.tags ?? []) == 3 ? mood : nil"},
		"agent_username": {Column: "row.lone.who.id"}, "agent_id": {Column: "raw"},
	}
	read := func(set Set) []Transcript {
		t.Helper()
		all := pgPages(t, pgFull(pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{set}})), "")
		for i := range all {
			for j := range all[i].Rejects {
				all[i].Rejects[j].Locator = ""
			}
		}
		return all
	}
	reject := func(reason Reason, message, detail string) Reject {
		return Reject{Stage: StageRead, Reason: reason, Set: SetMessages, ConversationID: "1", MessageID: message, Detail: detail}
	}
	want := []Transcript{{ConversationID: "1",
		Messages: []Message{{
			ConversationID: "1", MessageID: "1.5", SentAt: TimeOf(time.Date(2025, 1, 2, 3, 4, 5, 678901000, time.UTC)), ChangedAt: TimeOf(time.Date(2025, 1, 2, 0, 0, 0, 0, time.UTC)),
			Role: Customer, Author: Person{"9007199254740993", `Ann "é"`, "c"}, Agent: Person{ID: `\xff`, Name: "yes", Username: "5"}, Body: "in text", Deleted: true, AnonymousID: "calm",
		}},
		Rejects: []Reject{reject(BadTimestamp, "2", `sent_at: "infinity" is no time`), reject(BadValue, "", "history: the element is no object")},
	}}
	for _, set := range []Set{{Table: "chats"}, {Query: "SELECT id, history::part[] AS history, lone FROM chats"}} {
		set.Nested, set.Fields = "history", fields
		if diff := cmp.Diff(want, read(set)); diff != "" {
			t.Errorf("%s%s: %s", set.Table, set.Query, diff)
		}
	}

	want = []Transcript{{ConversationID: "1",
		Messages: []Message{{ConversationID: "1", MessageID: "7", SentAt: TimeOf(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)), Role: Customer, Body: "hi"}},
		Rejects:  []Reject{reject(BadValue, "", "docs: the element is no object")},
	}}
	docs := map[string]Field{"conversation_id": {Column: "row.id"}, "message_id": {Column: "n"}, "sent_at": {Column: "at"}, "role": {Value: ptr("customer")}, "body": {Column: "text"}}
	if diff := cmp.Diff(want, read(Set{Table: "chats", Nested: "docs", Fields: docs})); diff != "" {
		t.Error(diff)
	}
	// Rows whose type has no name, and what an aggregate makes of a table.
	delete(docs, "message_id")
	docs["body"], docs["sent_at"] = Field{Column: "f1"}, Field{Column: "f2"}
	all := read(Set{Query: "SELECT 1 AS id, array_agg(ROW(n, timestamptz '2025-01-01')) AS list FROM generate_series(1, 2) AS n", Nested: "list", Fields: docs})
	if len(all) != 1 || len(all[0].Messages) != 2 || all[0].Messages[1].Body != "2" {
		t.Errorf("got %+v", all)
	}
	docs["body"], docs["sent_at"] = Field{Column: "docs[0].text"}, Field{Column: "lone.at"}
	all = read(Set{Query: "SELECT 1 AS id, array_agg(c) AS list FROM chats AS c WHERE id = 1", Nested: "list", Fields: docs})
	if len(all) != 1 || len(all[0].Messages) != 1 || all[0].Messages[0].Body != "hi" {
		t.Errorf("got %+v", all)
	}
}

func TestPostgresNestedMistakes(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TYPE part AS (no int, at timestamptz, body text)`, `CREATE TABLE chats (id int, history part[], words text[], numbers int[])`)
	base := func(body Field) map[string]Field {
		return map[string]Field{"conversation_id": {Column: "row.id"}, "sent_at": {Column: "at"}, "role": {Value: ptr("agent")}, "body": body}
	}
	for _, c := range []struct {
		name string
		set  Set
		want string
	}{
		{"Err no attribute", Set{Table: "chats", Nested: "history", Fields: base(Field{Column: "bdy"})},
			"messages.body: there is no column bdy in history of public.chats | did you mean body? its columns are no, at, body, row.id, row.history, row.words, row.numbers"},
		{"Err no rows", Set{Table: "chats", Nested: "numbers", Fields: base(Field{})}, "messages.nested in public.chats: column numbers is of type integer[], no list of structs or JSON | name the list that holds the messages"},
		{"Err whole list", Set{Table: "chats", Nested: "history", Fields: base(Field{Column: "row.words"})}, "messages.body in history of public.chats: column words is of type text[], which body cannot take | name a column of any simple type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := pgTryOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{c.set}})
			if got := mappingErrors(err); !slices.Contains(got, c.want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
