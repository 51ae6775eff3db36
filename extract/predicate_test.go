package extract

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// predicateOf is the simple form of a where over some columns.
func predicateOf(t *testing.T, where string) predicate {
	t.Helper()
	var columns []Column
	for i, typ := range []Type{TypeBool, TypeInt, TypeFloat, TypeDecimal, TypeText, TypeBinary, TypeUUID, TypeInstant, TypeWallTime, TypeDate, TypeText} {
		columns = append(columns, Column{Name: []string{"b", "i", "f", "d", "t", "x", "u", "at", "wall", "day", "j"}[i], Type: typ, index: i})
	}
	find := func(name string) (Column, bool) {
		i := slices.IndexFunc(columns, func(col Column) bool { return col.Name == name })
		if i < 0 {
			return Column{}, false
		}
		return columns[i], true
	}
	c := &compiler{set: "messages", kind: SetMessages, filter: where, unfolds: true,
		tables: []table{{name: "rows", columns: columns, find: find}}}
	m := c.compile()
	if len(c.errs) > 0 {
		t.Fatal(c.errs)
	}
	return m[0].where.simple
}

func (p predicate) String() string {
	var terms []string
	for _, term := range p.terms {
		var values []string
		for _, v := range term.values {
			text := string(appendText(nil, v))
			if v.Type == TypeText {
				text = fmt.Sprintf("%q", text)
			}
			values = append(values, text)
		}
		terms = append(terms, fmt.Sprintf("%s %s [%s]", term.column.Name, term.operator, strings.Join(values, " ")))
	}
	if !p.whole {
		terms = append(terms, "…")
	}
	return strings.Join(terms, ", ")
}

func TestPredicate(t *testing.T) {
	for _, c := range []struct{ name, where, want string }{
		{"OK comparisons", `i == 1 && t != "a" and i < 2 and i <= -3 and f > 1.5 and f >= -2`, `i in [1], t not in ["a"], i < [2], i <= [-3], f > [1.5], f >= [-2]`},
		{"OK constants first", `1 == i and 2 < i and 3 >= f`, `i in [1], i > [2], f <= [3]`},
		{"OK NULL", `t == nil and nil != x and d == nil`, `t in [], x not in [], d in []`},
		{"OK lists", `i in [1, 2.5, nil] and t not in ["a", "b"] and not (i in [3]) and !(i == 4)`, `i in [1 2.5 ], t not in ["a" "b"], i not in [3], i not in [4]`},
		{"OK empty list", `i in []`, `i in []`},
		{"OK booleans", `b and not b and b == false and not (b != true)`, `b in [true], b not in [true], b in [false], b in [true]`},
		{"OK times", `at >= date("2024-01-02") and wall < date("2024-01-02T03:04:05+02:00") and day == date("1.2.2024", "2.1.2006")`,
			`at >= [2024-01-02T00:00:00Z], wall < [2024-01-02T01:04:05Z], day in [2024-02-01T00:00:00Z]`},
		{"OK uuid", `u == "a"`, `u in ["a"]`},
		{"OK quoted name", `$env["i"] == 1`, `i in [1]`},
		{"OK in brackets", `(i == 1 and (f == 2 and t == "a"))`, `i in [1], f in [2], t in ["a"]`},
		{"Err or", `i == 1 or f == 2`, `…`},
		{"Err rest is not simple", `i == 1 and len(t) > 2 and f == 2`, `i in [1], …`},
		{"Err may fail before", `d < 1 and i == 1`, `…`},
		{"Err opposite of an order", `not (i < 1) and i == 1`, `…`},
		{"Err two columns", `i == f`, `…`},
		{"Err computed", `i + 1 == 2`, `…`},
		{"Err decimal", `d == 1`, `…`},
		{"Err bytes", `x == "00"`, `…`},
		{"Err another kind", `d == "a"`, `…`},
		{"Err path", `j.a == 1`, `…`},
		{"Err local", `let k = 1; k == 1`, `…`},
		{"Err date of a column", `at < date(t)`, `…`},
		{"Err time out of range", `at < date("0001-01-01")`, `…`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, predicateOf(t, c.where).String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
