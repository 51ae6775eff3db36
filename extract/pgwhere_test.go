//go:build unix

package extract

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// pgOddColumns are columns of many types, with values that comparisons may see
// in several ways, as SQL literals and as constants of expressions.
var pgOddColumns = []struct {
	name, typ string
	values    []string
	constants []string
}{
	{"b", "bool", []string{"true", "false"}, []string{"true", "false"}},
	{"i2", "int2", []string{"-1", "0", "1", "32767"}, pgOddNumbers},
	{"i4", "int4", []string{"-1", "0", "1", "2"}, pgOddNumbers},
	{"i8", "int8", []string{"-1", "0", "1", "9007199254740992", "9007199254740993", "9223372036854775807"}, pgOddNumbers},
	{"oid", "oid", []string{"0", "4294967295"}, pgOddNumbers},
	{"f4", "float4", []string{"0.1", "1", "'NaN'", "'Infinity'"}, pgOddNumbers},
	{"f8", "float8", []string{"0.1", "1", "-1.5", "'-0'", "'NaN'", "'-Infinity'", "9007199254740993"}, pgOddNumbers},
	{"n", "numeric", []string{"0.1", "1", "1.00000000000000000001", "1e30", "'NaN'"}, pgOddNumbers},
	{"t", "text", pgOddTexts, pgOddTextConstants},
	{"v", "varchar(9)", pgOddTexts, pgOddTextConstants},
	{"c", "citext", pgOddTexts, pgOddTextConstants},
	{"folded", "text COLLATE folding", pgOddTexts, pgOddTextConstants},
	{"padded", "char(5)", pgOddTexts, pgOddTextConstants},
	{"name", "name", pgOddTexts, pgOddTextConstants},
	{"mood", "mood", []string{"'B'", "'a'", "'b'"}, pgOddTextConstants},
	{"word", "word", pgOddTexts, pgOddTextConstants},
	{"j", "jsonb", []string{`'"a"'`, `'null'`, `'{"a": 1}'`, `'1'`}, pgOddTextConstants},
	{"u", "uuid", []string{"'0aaaaaaa-0000-0000-0000-000000000000'", "'aaaaaaaa-0000-0000-0000-000000000000'"},
		[]string{`"0aaaaaaa-0000-0000-0000-000000000000"`, `"AAAAAAAA-0000-0000-0000-000000000000"`, `"1"`}},
	{"x", "bytea", []string{`'\x00'`, `'\x61'`, `''`}, []string{`"00"`, `"61"`, `""`, `"a"`}},
	{"at", "timestamptz", pgOddTimes, pgOddDates},
	{"wall", "timestamp", pgOddTimes, pgOddDates},
	{"day", "date", pgOddTimes, pgOddDates},
}

var (
	pgOddNumbers       = []string{"0", "1", "-1", "0.1", "1.0", "-1.5", "2", "32768", "9007199254740992", "9007199254740993", "9007199254740993.0", "1e300"}
	pgOddTexts         = []string{"''", "'a'", "'A'", "'b'", "'a '", "'é'", `E'\\'`, `'''"'`}
	pgOddTextConstants = []string{`""`, `"a"`, `"A"`, `"b"`, `"a "`, `"é"`, `"\\"`, `"'\""`, `"\x00"`, `"\xff"`, `"👋"`}
	pgOddTimes         = []string{"'2025-01-01'", "'2025-01-01 12:34:56.789012'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'5000-01-01'", "'1969-12-31 23:59:59.999999'"}
	pgOddDates         = []string{`date("2025-01-01")`, `date("2025-01-01T12:34:56.789012Z")`, `date("2025-01-01T12:34:56.7890125Z")`, `date("1970-01-01")`, `date("2262-01-01")`, `date("9000-01-01")`}
)

// pgOddTable has rows of one conversation each third, with values of all kinds.
func pgOddTable(t *testing.T, rows int) string {
	dsn := postgrestest.New(t)
	random := rand.New(rand.NewPCG(3, 4))
	columns := []string{"conversation_id int", "message_id int", "sent_at timestamptz", "role text"}
	for _, col := range pgOddColumns {
		columns = append(columns, col.name+" "+col.typ)
	}
	var values []string
	for i := range rows {
		row := []string{fmt.Sprint(i / 3), fmt.Sprint(i), "'2025-01-01'", "'agent'"}
		for _, col := range pgOddColumns {
			value := "NULL"
			if n := random.IntN(len(col.values) + 1); n < len(col.values) {
				value = col.values[n]
			}
			row = append(row, value)
		}
		values = append(values, "("+strings.Join(row, ", ")+")")
	}
	pgExec(t, dsn, `CREATE EXTENSION citext`, `CREATE TYPE mood AS ENUM ('b', 'a', 'B')`, `CREATE DOMAIN word AS text`,
		`CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
		`CREATE TABLE messages (`+strings.Join(columns, ", ")+`)`, `INSERT INTO messages VALUES `+strings.Join(values, ", "))
	return dsn
}

// drawTerm is a simple condition over one of the columns, with constants of
// its kind.
func drawTerm(t *rapid.T) string {
	col := rapid.SampledFrom(pgOddColumns).Draw(t, "column")
	constant := func() string {
		return rapid.SampledFrom(append([]string{"nil"}, col.constants...)).Draw(t, "constant")
	}
	operators := []string{"==", "!=", "in", "not in", "<", "<=", ">", ">="}
	if col.name == "b" {
		operators = operators[:4]
	}
	switch op := rapid.SampledFrom(operators).Draw(t, "operator"); op {
	case "in", "not in":
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return constant() }), 0, 4).Draw(t, "list")
		return fmt.Sprintf("%s %s [%s]", col.name, op, strings.Join(list, ", "))
	case "==", "!=":
		return fmt.Sprintf("%s %s %s", col.name, op, constant())
	default:
		return fmt.Sprintf("%s %s %s", col.name, op, rapid.SampledFrom(col.constants).Draw(t, "constant"))
	}
}

// TestPostgresWhere holds for any simple where: with what Postgres judges of it
// the same rows are kept, left out and rejected as without.
func TestPostgresWhere(t *testing.T) {
	dsn := pgOddTable(t, 240)
	read := func(where string) ([]Transcript, bool) {
		p, err := pgTryOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Table: "messages", Where: where}}})
		if err != nil {
			return nil, false // a constant is of another kind than the column
		}
		defer p.Close()
		return sorted(pgPages(t, pgFull(p), "")), true
	}
	rapid.Check(t, func(t *rapid.T) {
		where := strings.Join(rapid.SliceOfN(rapid.Custom(drawTerm), 1, 3).Draw(t, "terms"), " and ")
		want, ok := read("(" + where + ") or false") // which is not simple
		if !ok {
			t.Skip("not an expression")
		}
		got, _ := read(where)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Reject{}, "Detail")); diff != "" {
			t.Fatalf("%s: (-expression +SQL)\n%s", where, diff)
		}
	})
}

// TestPostgresJudges holds if what can be judged in SQL is.
func TestPostgresJudges(t *testing.T) {
	dsn := pgOddTable(t, 1)
	for where, whole := range map[string]bool{
		`b and i2 in [1, 2.5, nil] and i4 != 3 and i8 <= 4`:                                   true,
		`f8 >= 1 and t == "a" and v != "b" and c > "A" and folded in ["a"]`:                   true,
		`mood == "a" and word != nil and u == "0aaaaaaa-0000-0000-0000-000000000000"`:         true,
		`at >= date("2025-01-01") and wall < date("2025-01-01") and day < date("2025-01-01")`: true,
		`n == nil and x != nil and f4 == nil and padded != nil and name != nil and j == nil`:  true,
		`b and f4 > 1`:        false,
		`b and padded == "a"`: false,
		`b and name == "a"`:   false,
		`b and len(t) > 1`:    false,
	} {
		r := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Table: "messages", Where: where}}}).messages[0]
		if r.filter.sql == "" || r.filter.whole != whole {
			t.Errorf("%s: %+v", where, r.filter)
		}
	}
	for _, set := range []Set{
		{Table: "messages", Where: `n > 1 and b`},
		{Table: "messages", Where: `b`, Fields: map[string]Field{"sent_at": {Expr: "at"}}}, // all is needed to know the time
	} {
		if r := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{set}}).messages[0]; r.filter != (pgFilter{}) {
			t.Errorf("%s: %+v", set.Where, r.filter)
		}
	}
}

// TestPostgresWhereOfOtherSets leaves rows out that nobody counts.
func TestPostgresWhereOfOtherSets(t *testing.T) {
	dsn := postgrestest.New(t)
	pgMany(t, dsn, 2)
	pgExec(t, dsn, `CREATE TABLE chats (id int, who text, test bool)`, `INSERT INTO chats VALUES (1, 'u', false), (1, 'v', true), (1, 'w', NULL), (NULL, 'x', true)`,
		`CREATE TABLE people (id int, name text)`, `INSERT INTO people VALUES (7, 'Ann'), (8, 'bot'), (NULL, 'bot')`)
	p := pgOpen(t, PostgresConfig{DSN: dsn,
		Messages:      []Set{{Table: "messages", Fields: map[string]Field{"author_name": {Expr: `lookup("names", author_id)?.name`}}}},
		Conversations: []Set{{Table: "chats", Where: "not test", Fields: map[string]Field{"conversation_id": {Column: "id"}, "user_id": {Column: "who"}}}},
		Agents:        []Set{{Table: "people", Where: `name != "bot"`}},
		Lookups:       map[string]Lookup{"names": {Set: Set{Table: "people", Where: `name in ["Ann"]`}, Key: "id"}},
	})
	all := sorted(pgPages(t, pgFull(p), ""))
	if len(all) != 2 || len(all[1].Conversations) != 2 || all[0].Messages[0].Author.Name != "Ann" {
		t.Errorf("got %+v", all)
	}
	agents, err := p.Directory(t.Context())
	if err != nil || len(agents) != 1 || len(p.DirectoryRejects()) != 0 {
		t.Errorf("got agents %v, %v, %v", agents, err, p.DirectoryRejects())
	}
}
