package extract

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// exprRow has a column of every type, and NULL.
var exprRow = rowOf{
	"conversation_id": textValue("c"), "sent_at": textValue("2024-03-01"), "role": textValue("customer"),
	"name": textValue("Ada"), "n": {Type: TypeInt, Int: 7}, "u": {Type: TypeUint, Int: 8}, "most": {Type: TypeUint, Int: -1}, "f": floatValue(2.5),
	"flag": boolValue(true), "big": {Type: TypeDecimal, Str: "12345678901234567890"}, "dec": {Type: TypeDecimal, Str: "1.5"},
	"at":      {Type: TypeInstant, Int: int64(TimeOf(time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC)))},
	"wall":    {Type: TypeWallTime, Int: int64(TimeOf(time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC)))},
	"day":     {Type: TypeDate, Int: 19783},
	"uuid":    {Type: TypeUUID, Str: "\x12\x3e\x45\x67\xe8\x9b\x12\xd3\xa4\x56\x42\x66\x14\x17\x40\x00"},
	"nothing": {}, "type": textValue("close"),
	"json":   textValue(` {"a": {"b": [{"c": "x"}, {"c": 2}]}, "s": "{\"t\": true}", "big": 12345678901234567890} `),
	"text":   textValue("no json"),
	"a.b c":  textValue("odd"),
	"column": textValue("x"),
}

// exprMapping compiles a set of messages for exprRow.
func exprMapping(where string, fields map[string]Field, extra ...ExtraField) (*Mapping, []Value, error) {
	return exprMappingOf(exprRow, where, fields, extra...)
}

func exprMappingOf(row rowOf, where string, fields map[string]Field, extra ...ExtraField) (*Mapping, []Value, error) {
	var columns []Column
	for name, v := range row {
		columns = append(columns, Column{Name: quotePart(name), Type: v.Type, Declared: v.Type.String(), index: len(columns)})
	}
	contacts := &lookupTable{name: "contacts", names: []string{"id", "identifier"}, used: map[string]bool{}, rows: map[string]map[string]any{
		"7": {"id": 7, "identifier": "ada@example.com"},
	}}
	c := compiler{set: SetMessages, kind: SetMessages, specs: messageFields, fields: fields, extra: extra, latest: latestAt(testNow),
		tables: []table{{name: "t", columns: columns, find: findColumn(columns)}}, unfolds: true, filter: where, lookups: lookups{"contacts": contacts}}
	m := c.compile()[0]
	values := make([]Value, len(m.Columns))
	for i, col := range m.Columns {
		for name, v := range row {
			if quotePart(name) == col.Name {
				values[i] = v
			}
		}
	}
	return m, values, errors.Join(c.errs...)
}

func TestExpressions(t *testing.T) {
	for expression, want := range map[string]string{
		`name`:                                `"Ada"`,
		`name + "!"`:                          `"Ada!"`,
		`n + 1`:                               `8`,
		`u % 5`:                               `3`,
		`most`:                                `18446744073709551615`,
		`most > 2`:                            `true`,
		`0 <= most and most <= most`:          `true`,
		`json.big < n`:                        `false`,
		`f * 2`:                               `5`,
		`flag ? "note" : "message"`:           `"note"`,
		`type == "close" ? "end" : "message"`: `"end"`,
		`big`:                                 `"12345678901234567890"`,
		`dec + 1`:                             `2.5`,
		`uuid`:                                `"123e4567-e89b-12d3-a456-426614174000"`,
		`at`:                                  `"2024-03-01T10:00:00Z"`,
		`wall`:                                `"2024-03-01T10:00:00"`,
		`wall + duration("1h")`:               `"2024-03-01T11:00:00"`,
		`day`:                                 `"2024-03-01T00:00:00"`,
		`at.Hour()`:                           `10`,
		`at < date("2025-01-01")`:             `true`,
		`nothing`:                             ``,
		`nothing ?? name`:                     `"Ada"`,
		`nothing == nil`:                      `true`,
		`nothing > 3`:                         `false`,
		`nothing <= n`:                        `false`,
		`nothing in [1, nil]`:                 `true`,
		`n in [1, 7]`:                         `true`,
		`name in ["Bob"]`:                     `false`,
		`n in 1..9`:                           `true`,
		`nothing ? 1 : 2`:                     `2`,
		`not nothing`:                         `true`,
		`nothing or flag`:                     `true`,
		`nothing && flag`:                     `false`,
		`nothing contains "x"`:                `false`,
		`json.a.b[0].c`:                       `"x"`,
		`json.a.b[-1].c`:                      `2`,
		`json.a?.nowhere?.c`:                  ``,
		`json["a"].b[1].c + 1`:                `3`,
		`json.s.t`:                            `true`,
		`json.big`:                            `12345678901234567890`,
		`text.a`:                              ``,
		`len(json.a.b)`:                       `2`,
		`filter(json.a.b, .c == "x")[0].c`:    `"x"`,
		`map(json.a.b, .c)`:                   `["x",2]`,
		`fromJSON(json).a.b[0].c`:             `"x"`,
		`let x = n; x * x`:                    `49`,
		`$env["a.b c"]`:                       `"odd"`,
		`lookup("contacts", n)?.identifier`:   `"ada@example.com"`,
		`lookup("contacts", "7")?.identifier`: `"ada@example.com"`,
		`lookup("contacts", 8)?.identifier`:   ``,
		`lookup("contacts", nothing)?.identifier`:     ``,
		`lookup("contacts", 8) == nil`:                `true`,
		`(lookup("contacts", n) ?? {"id": 1}).id`:     `7`,
		`any(json.a.b, .c == 2 and .nothing == nil)`:  `true`,
		`filter(json.a.b, .nothing)`:                  `[]`,
		`column`:                                      `"x"`,
		`if flag { "a" } else { "b" }`:                `"a"`,
		`lower(name)`:                                 `"ada"`,
		`name matches "^A"`:                           `true`,
		`int(f)`:                                      `2`,
		`name[0:1]`:                                   `"A"`,
		`split(name, "d")`:                            `["A","a"]`,
		`count([flag, nothing], #)`:                   `1`,
		`{"a": n}`:                                    `{"a":7}`,
		`reduce([1, 2, 3], #acc + #, 0) < 7 ? 1 : 0`:  `1`,
		`sum(map(json.a.b, .nothing ?? 1))`:           `2`,
		`flag and n > 3 and name startsWith "A"`:      `true`,
		`not (n > 3) or nothing != nil or u >= 8 ^ 1`: `true`,
	} {
		m, row, err := exprMapping("", nil, ExtraField{Name: "x", Field: Field{Expr: expression}})
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		var out Message
		if r := m.Message(row, &Scratch{}, &out); r != nil {
			t.Errorf("%s: %v", expression, r)
		} else if out.Extra[0] != want {
			t.Errorf("%s = %s, want %s", expression, out.Extra[0], want)
		}
	}
}

func TestExpressionFields(t *testing.T) {
	m, row, err := exprMapping("", map[string]Field{
		"kind":       {Expr: `type == "close" ? "end" : "message"`},
		"role":       {Expr: `flag ? "admin" : nil`, Values: map[string]string{"admin": "agent"}},
		"message_id": {Expr: "n * 10", Prefix: "p-"},
		"sent_at":    {Expr: "nothing ?? wall", Timezone: "Europe/Berlin"},
		"changed_at": {Expr: "1709287200 + n", Unit: "s"},
		"body":       {Expr: "nothing", Default: ptr("none")},
		"deleted":    {Expr: "nothing != nil"},
		"sequence":   {Expr: "f + 1"},
		"user_id":    {Expr: `lookup("contacts", n)?.identifier`},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got Message
	if r := m.Message(row, &Scratch{}, &got); r != nil {
		t.Fatal(r)
	}
	want := Message{
		ConversationID: "c", MessageID: "p-70", Kind: KindEnd, Role: Agent, Body: "none", UserID: "ada@example.com", Sequence: Sequence{3, 0.5},
		SentAt: TimeOf(time.Date(2024, 3, 1, 9, 0, 0, 0, time.UTC)), ChangedAt: TimeOf(time.Date(2024, 3, 1, 10, 0, 7, 0, time.UTC)),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestExpressionMistakes(t *testing.T) {
	for _, c := range []struct{ field, expression, problem, try string }{
		{"kind", `part_typ == "close" ? 1 : 2`, "messages.kind: there is no column part_typ in t (expression, at 1:1)", "its columns are "},
		{"kind", `flag ? "a" : tipe == "b" ? "c" : "d"`, "messages.kind: there is no column tipe in t (expression, at 1:14)", "did you mean type?"},
		{"kind", "flag ?\n  nam : name", "messages.kind: there is no column nam in t (expression, at 2:3)", "did you mean name"},
		{"kind", `name +`, "messages.kind: unexpected token EOF (expression, at 1:6)", "the expression is:\n    | name +\n    | .....^"},
		{"kind", `name == 7`, "messages.kind in t: invalid operation: == (mismatched types string and int) (expression, at 1:6)", "name == 7"},
		{"kind", `n in ["1"]`, "messages.kind in t: cannot use int as type string in array (expression, at 1:3)", ""},
		{"kind", `name.first`, "", ""},
		{"kind", `n.first`, "messages.kind: there is no column n.first in t (expression, at 1:1)", ""},
		{"kind", `nam.first`, "messages.kind: there is no column nam.first in t (expression, at 1:1)", ""},
		{"kind", `lower(n)`, "messages.kind in t: cannot use int as argument (type string) to call lower  (expression, at 1:7)", ""},
		{"kind", `now()`, "messages.kind: the function now is not available: what it yields depends on chance or on the clock (expression, at 1:1)", "columns"},
		{"kind", `keys(json.a)`, "messages.kind: the function keys is not available: what it yields depends on chance or on the clock (expression, at 1:1)", ""},
		{"kind", `nowhere(n)`, "messages.kind: there is no function nowhere (expression, at 1:1)", "lookup"},
		{"kind", `at.Local().String()`, "messages.kind: Local depends on the machine (expression, at 1:4)", "timezone"},
		{"kind", `at`, "messages.kind: the expression yields a time, which kind cannot take", "text, numbers or booleans"},
		{"message_id", `flag`, "messages.message_id: the expression yields a boolean, which message_id cannot take", ""},
		{"message_id", `{"a": 1}`, "messages.message_id: the expression yields a struct, which message_id cannot take", ""},
		{"sequence", `at - at`, "messages.sequence: the expression yields a time.Duration, which sequence cannot take", ""},
		{"user_id", `lookup("contact", n)?.identifier`, "messages.user_id: there is no lookup contact (expression, at 1:8)", "did you mean contacts?"},
		{"user_id", `lookup("contacts", n)?.identifer`, "messages.user_id: the lookup contacts has no column identifer (expression, at 1:24)", "did you mean identifier?"},
		{"user_id", `lookup(name, n)`, "messages.user_id: the name of a lookup must be a text in quotes (expression, at 1:8)", ""},
		{"user_id", `lookup("contacts")`, "messages.user_id: lookup takes two arguments (expression, at 1:1)", ""},
		{"user_id", `$env`, `messages.user_id: $env can only be used to name a column, as in $env["a b"] (expression, at 1:1)`, ""},
		{"user_id", strings.Repeat("n + ", 3000) + "n", "messages.user_id: the expression is longer than 10000 bytes", ""},
		{"conversation_id", `name`, "messages.conversation_id: it must be a column: conversations are found by it", ""},
		{"where", `name`, "messages.where in t: the expression yields a text, not true or false", ""},
		{"where", `flag and nam`, "messages.where: there is no column nam in t (expression, at 1:10)", ""},
	} {
		where, fields := "", map[string]Field{c.field: {Expr: c.expression}}
		if c.field == "where" {
			where, fields = c.expression, nil
		}
		_, _, err := exprMapping(where, fields)
		if c.problem == "" {
			if err != nil {
				t.Errorf("%s: %v", c.expression, err)
			}
			continue
		}
		var m *MappingError
		if !errors.As(err, &m) {
			t.Errorf("%s: got error %v", c.expression, err)
			continue
		}
		if d := cmp.Diff(c.problem, err.Error()); d != "" || m.Try == "" || !strings.Contains(m.Try, c.try) {
			t.Errorf("%.40s: %s; try %q", c.expression, d, m.Try)
		}
	}
}

// TestExpressionFails has expressions that cannot be evaluated over the row:
// what becomes of it is a reject that shows nothing of its content.
func TestExpressionFails(t *testing.T) {
	for expression, want := range map[string]string{
		`lookup("contacts", 8).identifier`:   "the expression fails at 1:23: there is nothing to take from NULL",
		`lower(nothing)`:                     "the expression fails at 1:1: NULL is not a text",
		`int(name)`:                          "the expression fails at 1:1: it cannot be evaluated over this row's values",
		`date(name)`:                         "the expression fails at 1:1: it cannot be evaluated over this row's values",
		`fromJSON(text)`:                     "the expression fails at 1:1: it cannot be evaluated over this row's values",
		`json.a + 1`:                         "the expression fails at 1:8: invalid operation: a struct + an integer",
		`nothing + 1`:                        "the expression fails at 1:9: invalid operation: NULL + an integer",
		`n % (n - 7)`:                        "the expression fails at 1:3: division by zero",
		`json.a ? 1 : 2`:                     "the expression fails at 1:1: a condition is a struct, not true or false",
		`repeat(name, 1000000)`:              "the expression fails at 1:1: it makes lists or texts that are too large",
		`map(1..2000, map(1..2000, #))`:      "it makes lists or texts that are too large",
		`json.a.b[0].c[name]`:                "it cannot be evaluated over this row's values",
		`json.a[name].b`:                     "there is nothing to take from NULL",
		`name matches name + "("`:            "it cannot be evaluated over this row's values",
		`all(1..900, all(1..900, # != -1))`:  "",
		`at - at`:                            "the expression yields a time.Duration, which no field takes",
		`json.s.t == true ? at - at : "Ada"`: "the expression yields a time.Duration, which no field takes",
	} {
		m, row, err := exprMapping("", nil, ExtraField{Name: "x", Field: Field{Expr: expression}})
		if err != nil {
			if expression == "at - at" {
				continue
			}
			t.Errorf("%s: %v", expression, err)
			continue
		}
		var out Message
		r := m.Message(row, &Scratch{}, &out)
		if want == "" {
			if r != nil {
				t.Errorf("%s: %v", expression, r)
			}
			continue
		}
		if r == nil || r.Reason != BadValue || !strings.HasPrefix(r.Detail, "x: ") || !strings.Contains(r.Detail, want) || strings.Contains(r.Detail, "Ada") {
			t.Errorf("%s: got %v, want %s", expression, r, want)
		}
	}
}

func TestExpressionOfIgnoredRow(t *testing.T) {
	row := rowOf{}
	for name, v := range exprRow {
		row[name] = v
	}
	row["kind"] = textValue("note")
	m, values, err := exprMappingOf(row, "", map[string]Field{"body": {Expr: "lower(nothing)"}})
	if err != nil {
		t.Fatal(err)
	}
	var out Message
	if r := m.Message(values, &Scratch{}, &out); r != nil {
		t.Errorf("got %v", r)
	}
	m, values, err = exprMappingOf(row, "", map[string]Field{"kind": {Expr: "lower(nothing)"}})
	if err != nil {
		t.Fatal(err)
	}
	if r := m.Message(values, &Scratch{}, &out); r == nil || r.Reason != BadValue || !strings.HasPrefix(r.Detail, "kind: ") {
		t.Errorf("got %v", r)
	}
}

// Of several mistakes in a row the same is told whatever else is mapped: a bad id
// before a body that cannot be evaluated, as rejects are told apart by their reason.
func TestBadIDComesFirst(t *testing.T) {
	m, values, err := exprMapping("", map[string]Field{"body": {Expr: "lower(nothing)"}, "user_id": {Expr: `name + "\x1f"`}})
	if err != nil {
		t.Fatal(err)
	}
	var out Message
	if r := m.Message(values, &Scratch{}, &out); r == nil || r.Reason != BadID || !strings.HasPrefix(r.Detail, "user_id: ") {
		t.Errorf("got %v", r)
	}
}

func FuzzExpression(f *testing.F) {
	for _, seed := range []string{`name + "!"`, `json.a.b[0].c`, `filter(json.a.b, .c == 2)`, `lookup("contacts", n)?.identifier`, `n in [1, 2] and not nothing`,
		`let x = json; x.a?.b`, `at < date("2024-01-01") ? at : nil`, `sum(map(1..10, # * n))`, `$env["a.b c"]`, `[`, `row.x`, `"\xff" + name`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		m, row, err := exprMapping("", map[string]Field{"body": {Expr: expression}})
		if err != nil {
			return
		}
		var first, second Message
		a := m.Message(row, &Scratch{}, &first)
		b := m.Message(row, &Scratch{}, &second)
		if fmt.Sprint(a) != fmt.Sprint(b) || first.Body != second.Body {
			t.Errorf("%s yields %q, %v and %q, %v", expression, first.Body, a, second.Body, b)
		}
	})
}

func BenchmarkExpression(b *testing.B) {
	m, row, err := exprMapping(`n in [1, 7] and name != "Bob"`, map[string]Field{"kind": {Expr: `flag ? "note" : type == "close" ? "end" : "message"`}})
	if err != nil {
		b.Fatal(err)
	}
	var s Scratch
	b.ReportAllocs()
	for b.Loop() {
		s.Reset()
		if keep, p := m.keeps(row, &s); !keep || p != nil {
			b.Fatal(p)
		}
		if k, p := m.kind(row, &s); k != KindNote || p != nil {
			b.Fatal(k, p)
		}
	}
}
