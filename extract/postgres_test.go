//go:build unix

package extract

import (
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// pgUpper is the upper bound of most tests' passes.
var pgUpper = TimeOf(testNow)

// pgExec runs statements as a superuser.
func pgExec(t failer, dsn string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(context.Background())
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatalf("run %s: %v", sql, err)
		}
	}
}

// pgOpen opens a source that does not wait long for what fails.
func pgOpen(t testing.TB, cfg PostgresConfig) *Postgres {
	t.Helper()
	p, err := pgTryOpen(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pgTryOpen(t testing.TB, cfg PostgresConfig) (*Postgres, error) {
	cfg.Now = func() time.Time { return testNow }
	cfg.Tmp = t.TempDir()
	p, err := OpenPostgres(context.Background(), cfg)
	if err == nil {
		p.policy = patient
		t.Cleanup(p.Close)
	}
	return p, err
}

// pgTable is a set of messages in a table whose columns have the fields' names.
func pgTable(name string) []Set { return []Set{{Table: name}} }

// pgPages reads a pass from a position.
func pgPages(t failer, p *PostgresPass, from Position) []Transcript {
	t.Helper()
	r, err := p.Transcripts(context.Background(), from)
	if err != nil {
		t.Fatalf("start reading: %v", err)
	}
	defer r.Close()
	return pgRest(t, r, nil)
}

// pgReader reads a pass from a position, until the test ends.
func pgReader(t testing.TB, p *PostgresPass, from Position) *PostgresReader {
	t.Helper()
	r, err := p.Transcripts(context.Background(), from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// pgRest reads a reader to its end, and looks at each page if it is asked to.
func pgRest(t failer, r *PostgresReader, look func(page []Transcript)) (all []Transcript) {
	t.Helper()
	for {
		page, err := r.Next(context.Background())
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		all = append(all, page.Transcripts...)
		if look != nil {
			look(page.Transcripts)
		}
	}
}

func pgFull(p *Postgres) *PostgresPass { return p.Pass(Pass{Upper: pgUpper, Full: true}) }

// sorted puts transcripts and their messages in an order of their own.
func sorted(all []Transcript) []Transcript {
	all = slices.Clone(all)
	for i := range all {
		all[i].Messages = slices.Clone(all[i].Messages)
		slices.SortFunc(all[i].Messages, func(a, b Message) int {
			return strings.Compare(a.MessageID+a.Body+a.Kind.String(), b.MessageID+b.Body+b.Kind.String())
		})
	}
	slices.SortFunc(all, func(a, b Transcript) int { return strings.Compare(a.ConversationID, b.ConversationID) })
	return all
}

func conversationIDs(all []Transcript) (ids []string) {
	for _, t := range all {
		ids = append(ids, t.ConversationID)
	}
	return ids
}

func TestPostgresOK(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn,
		`CREATE TABLE messages (conversation_id bigint, message_id uuid, sent_at timestamptz, role text, kind text, author_id int, author_name text, body text)`,
		`INSERT INTO messages VALUES
			(2, '123e4567-e89b-12d3-a456-426614174000', '2025-05-01 10:00:00.123456+02', 'customer', NULL, 7, 'Zoë', 'hi'),
			(10, NULL, '2025-05-01', 'agent', 'note', NULL, NULL, NULL),
			(2, NULL, '2025-05-01 11:00', 'agent', 'message', 8, NULL, ''),
			(NULL, NULL, '2025-05-01 11:00', 'agent', 'message', 8, NULL, 'stray'),
			(3, NULL, '2025-06-01 12:00Z', 'agent', 'message', 8, NULL, 'at the bound'),
			(3, NULL, 'infinity', 'agent', 'message', 8, NULL, 'never')`,
		`CREATE TABLE chats (conversation_id int, assignee_id text, ended_at timestamp)`,
		`INSERT INTO chats VALUES (2, 'a1', '2025-05-02'), (10, NULL, '2025-06-01 12:00'), (11, NULL, NULL)`)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("messages"), Conversations: pgTable("chats"), Page: 2})
	at := func(s string) Time {
		parsed, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return TimeOf(parsed)
	}
	want := []Transcript{
		{Rejects: []Reject{{Stage: StageRead, Reason: BadID, Set: SetMessages, ConversationID: "", Detail: "conversation_id is missing"}}},
		{
			ConversationID: "2",
			Messages: []Message{
				{ConversationID: "2", MessageID: "123e4567-e89b-12d3-a456-426614174000", SentAt: at("2025-05-01T08:00:00.123456Z"), Role: Customer, Author: Person{ID: "7", Name: "Zoë"}, Body: "hi"},
				{ConversationID: "2", SentAt: at("2025-05-01T11:00:00Z"), Role: Agent, Author: Person{ID: "8"}},
			},
			Conversations: []Conversation{{ConversationID: "2", Assignee: Person{ID: "a1"}, EndedAt: at("2025-05-02T00:00:00Z")}},
		},
		{ConversationID: "3", Rejects: []Reject{{Stage: StageRead, Reason: BadTimestamp, Set: SetMessages, ConversationID: "3"}}},
		{
			ConversationID: "10",
			Messages:       []Message{{ConversationID: "10", Kind: KindNote, Role: Agent}},
			Conversations:  []Conversation{{ConversationID: "10"}},
		},
	}
	got := pgPages(t, pgFull(p), "")
	for i := range got {
		got[i] = sorted(got[i : i+1])[0]
		for j := range got[i].Rejects {
			r := &got[i].Rejects[j]
			if !strings.HasPrefix(r.Locator, "public.messages: ") {
				t.Errorf("the locator is %s", r.Locator)
			}
			if r.Locator = ""; r.Reason == BadTimestamp {
				r.Detail = ""
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPostgresTypes reads each type through a field that takes it.
func TestPostgresTypes(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TYPE mood AS ENUM ('sad', 'so so')`, `CREATE DOMAIN email AS varchar(50) CHECK (VALUE LIKE '%@%')`, `CREATE DOMAIN serial_no AS bigint`)
	body := func(m Message) string { return m.Body }
	messageID := func(m Message) string { return m.MessageID }
	sentAt := func(m Message) string { return m.SentAt.String() }
	extra := func(m Message) string { return m.Extra[0] }
	const sometime = `timestamptz '2025-01-01'`
	for _, c := range []struct {
		name   string
		field  string
		sql    string // of the field
		get    func(Message) string
		want   string
		reject Reason
	}{
		{"OK int2", "message_id", `(-7)::int2`, messageID, "-7", ""},
		{"OK int4", "message_id", `2147483647::int4`, messageID, "2147483647", ""},
		{"OK int8", "message_id", `(-9223372036854775808)::int8`, messageID, "-9223372036854775808", ""},
		{"OK oid", "message_id", `4294967295::oid`, messageID, "4294967295", ""},
		{"OK numeric", "message_id", `123456789012345678901234567890.5000::numeric`, messageID, "123456789012345678901234567890.5", ""},
		{"OK whole numeric", "message_id", `100.00::numeric(10,2)`, messageID, "100", ""},
		{"OK numeric hundred", "message_id", `100::numeric`, messageID, "100", ""},
		{"Err numeric NaN", "message_id", `'NaN'::numeric`, nil, "", BadID},
		{"Err numeric infinite", "message_id", `'-Infinity'::numeric`, nil, "", BadID},
		{"OK float4", "body", `0.1::float4`, body, "0.1", ""},
		{"OK float8", "message_id", `9007199254740991::float8`, messageID, "9007199254740991", ""},
		{"Err float8 id", "message_id", `1.5::float8`, nil, "", BadID},
		{"OK text", "body", `E'\u00e9 "\\''\n'::text`, body, "é \"\\'\n", ""},
		{"OK varchar", "body", `'x '::varchar(5)`, body, "x ", ""},
		{"OK char", "body", `'x'::char(5)`, body, "x", ""},
		{"OK name", "body", `'x'::name`, body, "x", ""},
		{"OK enum", "body", `'so so'::mood`, body, "so so", ""},
		{"OK domain of text", "body", `'a@b'::email`, body, "a@b", ""},
		{"OK domain of bigint", "message_id", `5::serial_no`, messageID, "5", ""},
		{"OK bool", "body", `true`, body, "true", ""},
		{"OK bool NULL", "deleted", `NULL::bool`, func(m Message) string { return map[bool]string{true: "t", false: "f"}[m.Deleted] }, "f", ""},
		{"OK bool flag", "deleted", `true`, func(m Message) string { return map[bool]string{true: "t", false: "f"}[m.Deleted] }, "t", ""},
		{"OK uuid", "message_id", `'123E4567-E89B-12D3-A456-426614174000'::uuid`, messageID, "123e4567-e89b-12d3-a456-426614174000", ""},
		{"OK bytea", "message_id", `'\x00FFab'::bytea`, messageID, "00ffab", ""},
		{"OK inet", "body", `'10.0.0.1'::inet`, body, "10.0.0.1", ""},
		{"OK cidr", "body", `'10.0.0.0/8'::cidr`, body, "10.0.0.0/8", ""},
		{"OK interval", "body", `interval '90 s'`, body, "00:01:30", ""},
		{"OK jsonb text", "body", `'"a \"b\""'::jsonb`, body, `a "b"`, ""},
		{"OK json object", "body", `'{"a":  1}'::json`, body, `{"a":  1}`, ""},
		{"OK jsonb null", "body", `'null'::jsonb`, body, "", ""},
		{"OK timestamptz", "sent_at", `timestamptz '2025-01-02 03:04:05.678901+05:30'`, sentAt, "2025-01-01T21:34:05.678901Z", ""},
		{"OK timestamp", "sent_at", `timestamp '1999-12-31 23:59:59.000001'`, sentAt, "1999-12-31T23:59:59.000001Z", ""},
		{"OK date", "sent_at", `date '1999-12-31'`, sentAt, "1999-12-31T00:00:00Z", ""},
		{"OK seconds", "sent_at", `1735786800::int8`, sentAt, "2025-01-02T03:00:00Z", ""},
		{"OK text time", "sent_at", `'2025-01-02 03:00:00+01'::text`, sentAt, "2025-01-02T02:00:00Z", ""},
		{"Err infinite", "sent_at", `timestamptz 'infinity'`, nil, "", BadTimestamp},
		{"Err infinite past", "sent_at", `timestamptz '-infinity'`, nil, "", BadTimestamp},
		{"Err infinite wall time", "sent_at", `timestamp 'infinity'`, nil, "", BadTimestamp},
		{"Err infinite date", "sent_at", `date 'infinity'`, nil, "", BadTimestamp},
		{"Err NULL time", "sent_at", `NULL::timestamptz`, nil, "", BadTimestamp},
		{"Err before Christ", "sent_at", `timestamptz '4713-01-01 BC'`, nil, "", BadTimestamp},
		{"OK numeric sequence", "sequence", `12.5::numeric`, func(m Message) string { return sequenceText(m.Sequence) }, "12.5", ""},
		{"OK extra jsonb", "extra", `'{"b": [1, 2]}'::jsonb`, extra, `"{\"b\": [1, 2]}"`, ""},
		{"OK extra numeric", "extra", `1.50::numeric`, extra, `1.5`, ""},
		{"OK extra timestamp", "extra", `timestamptz '2025-01-02 00:00Z'`, extra, `"2025-01-02T00:00:00Z"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			query := `SELECT 1 AS conversation_id, 'customer' AS role, ` + c.sql + ` AS value`
			set := Set{Query: query, Fields: map[string]Field{}}
			cfg := PostgresConfig{DSN: dsn}
			if c.field == "extra" {
				cfg.Extra = []ExtraField{{Name: "x", Field: Field{Column: "value"}}}
			} else {
				set.Fields[c.field] = Field{Column: "value"}
			}
			if c.field != "sent_at" {
				set.Query += `, ` + sometime + ` AS sent_at`
			}
			cfg.Messages = []Set{set}
			all := pgPages(t, pgFull(pgOpen(t, cfg)), "")
			if len(all) != 1 || all[0].Rows() != 1 {
				t.Fatalf("got %+v", all)
			}
			if len(all[0].Rejects) == 1 {
				if got := all[0].Rejects[0]; got.Reason != c.reject {
					t.Errorf("got reject %v", got)
				}
				return
			}
			if got := c.get(all[0].Messages[0]); got != c.want || c.reject != "" {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func sequenceText(s Sequence) string { return strconv.FormatFloat(float64(s.Int)+s.Frac, 'g', -1, 64) }

func TestPostgresJSONPaths(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TABLE events (doc jsonb, raw json)`,
		`INSERT INTO events VALUES
			('{"chat": {"id": 42}, "odd.key''": "quoted", "at": "2025-01-01T00:00:00Z", "who": [{"role": "bot"}, {"role": "customer"}]}', '{"text": "hello"}'),
			('{"chat": {"id": 7}, "at": 1735689600, "who": []}', '{"text": null}'),
			('{"chat": 1}', NULL)`)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Table: "events", Fields: map[string]Field{
		"conversation_id": {Column: "doc.chat.id"},
		"message_id":      {Column: `doc."odd.key'"`},
		"sent_at":         {Column: "doc.at"},
		"role":            {Column: "doc.who[-1].role", Values: map[string]string{"null": "agent"}},
		"body":            {Column: "raw.text"},
	}}}})
	got := pgPages(t, pgFull(p), "")
	for i := range got {
		for j := range got[i].Rejects {
			got[i].Rejects[j].Locator = ""
		}
	}
	at := TimeOf(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	want := []Transcript{
		{Rejects: []Reject{{Stage: StageRead, Reason: BadID, Set: SetMessages, Detail: "conversation_id is missing"}}},
		{ConversationID: "42", Messages: []Message{{ConversationID: "42", MessageID: "quoted", SentAt: at, Role: Customer, Body: "hello"}}},
		{ConversationID: "7", Messages: []Message{{ConversationID: "7", SentAt: at, Role: Agent}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPostgresExpressions reads a list of messages in a row, with a where,
// expressions and a lookup.
func TestPostgresExpressions(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, `CREATE TABLE chats (id int, contact int, at timestamptz, history jsonb)`,
		`CREATE TABLE contacts (id bigint, identifier text, "Unused" text[])`,
		`INSERT INTO contacts VALUES (7, 'ann@example.com'), (NULL, 'nobody')`,
		`INSERT INTO chats VALUES
			(1, 7, '2025-01-01', '[{"who": "user", "text": "hi", "private": false, "more": "{\"n\": 5}"}, {"who": "bot", "text": "psst", "private": true}, {"who": "user", "deleted": 1}]'),
			(2, 8, '2025-01-02', '[{"who": "user"}, 3]'),
			(3, 7, '2025-01-03', '[]')`)
	p := pgOpen(t, PostgresConfig{
		DSN: dsn, KeepPayload: true,
		Messages: []Set{{
			Table: "chats", Nested: "history", Where: `deleted != 1`,
			Fields: map[string]Field{
				"conversation_id": {Column: "row.id"}, "sent_at": {Column: "row.at"}, "message_id": {Column: "more.n"}, "body": {Column: "text"},
				"role": {Column: "who", Values: map[string]string{"user": "customer"}},
				"kind": {Expr: `private ? "note" : "message"`}, "user_id": {Expr: `lookup("contacts", row.contact)?.identifier`},
			},
		}},
		Lookups: map[string]Lookup{"contacts": {Set: Set{Table: "contacts"}, Key: "id"}},
	})
	day := func(n int) Time { return TimeOf(time.Date(2025, 1, n, 0, 0, 0, 0, time.UTC)) }
	want := []Transcript{
		{ConversationID: "1", Filtered: 1, Messages: []Message{
			{ConversationID: "1", MessageID: "5", SentAt: day(1), Role: Customer, Body: "hi", UserID: "ann@example.com"},
			{ConversationID: "1", Role: Bot, Kind: KindNote},
		}},
		{ConversationID: "2", Messages: []Message{{ConversationID: "2", SentAt: day(2), Role: Customer}}, Rejects: []Reject{{
			Stage: StageRead, Reason: BadValue, Set: SetMessages, ConversationID: "2", Detail: "history: the element is no object",
		}}},
	}
	got := pgPages(t, pgFull(p), "")
	r := &got[1].Rejects[0]
	if !strings.HasPrefix(r.Locator, "public.chats: conversation_id=2, row ") || !strings.HasSuffix(r.Locator, ", history[1]") || r.Payload == "" {
		t.Errorf("got reject %+v", r)
	}
	r.Locator, r.Payload = "", ""
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}
