package extract

import (
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// tableNames are what the name of a table in a job file may mean, the best
// first: the name as it is, with the parts that are not quoted in lower case
// as SQL has them, and a single name with dots.
func tableNames(name string) []pgx.Identifier {
	exact, folded := splitTable(name)
	var names []pgx.Identifier
	for _, id := range []pgx.Identifier{exact, folded, {name}} {
		same := func(other pgx.Identifier) bool { return slices.Equal(id, other) }
		if len(id) <= 2 && !slices.Contains(id, "") && !slices.ContainsFunc(names, same) {
			names = append(names, id)
		}
	}
	return names
}

// splitTable splits a name at its dots. Parts may be quoted as in SQL.
func splitTable(name string) (exact, folded pgx.Identifier) {
	for {
		part, rest, quoted := cutPart(name)
		exact = append(exact, part)
		if !quoted {
			part = strings.ToLower(part)
		}
		folded = append(folded, part)
		if rest == "" {
			return exact, folded
		}
		name = rest[1:]
	}
}

// cutPart takes the first part of a name; the rest is empty or starts with a dot.
func cutPart(name string) (part, rest string, quoted bool) {
	if text, rest, ok := cutQuoted(name); ok && (rest == "" || rest[0] == '.') {
		return text, rest, true
	}
	if i := strings.IndexByte(name, '.'); i >= 0 {
		return name[:i], name[i:], false
	}
	return name, "", false
}

// cutQuoted takes a quoted text, in which two quotes stand for one.
func cutQuoted(s string) (text, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '"':
			b.WriteByte(s[i])
		case strings.HasPrefix(s[i:], `""`):
			b.WriteByte('"')
			i++
		default:
			return b.String(), s[i+1:], true
		}
	}
	return "", s, false
}

// jsonStep is a step of a path into JSON: a key or an index.
type jsonStep struct {
	key   string
	index int
	list  bool
}

// splitPath splits a.b[0].c into the column a and the steps b, [0], c. Names
// with dots or brackets are quoted.
func splitPath(path string) (column string, steps []jsonStep, ok bool) {
	column, rest, ok := cutName(path)
	for ok && rest != "" {
		var step jsonStep
		if rest[0] == '[' {
			step, rest, ok = cutIndex(rest)
		} else {
			step.key, rest, ok = cutName(rest[1:])
		}
		steps = append(steps, step)
	}
	return column, steps, ok
}

// cutName takes a name; the rest is empty or starts with a dot or a bracket.
func cutName(s string) (name, rest string, ok bool) {
	name, rest, ok = cutQuoted(s)
	if !ok {
		end := strings.IndexAny(s, ".[")
		if end < 0 {
			end = len(s)
		}
		name, rest = s[:end], s[end:]
		return name, rest, name != ""
	}
	return name, rest, rest == "" || rest[0] == '.' || rest[0] == '['
}

func cutIndex(s string) (step jsonStep, rest string, ok bool) {
	digits, rest, ok := strings.Cut(s[1:], "]")
	n, err := strconv.Atoi(digits)
	ok = ok && err == nil && (rest == "" || rest[0] == '.' || rest[0] == '[')
	return jsonStep{index: n, list: true}, rest, ok
}

// jsonSQL is the text at the end of a path into a column of type json or jsonb.
func jsonSQL(column string, steps []jsonStep) string {
	if len(steps) == 0 {
		return "(" + column + " #>> '{}')"
	}
	var b strings.Builder
	b.WriteString("(" + column)
	for i, step := range steps {
		b.WriteString(map[bool]string{false: " -> ", true: " ->> "}[i == len(steps)-1])
		if step.list {
			b.WriteString(strconv.Itoa(step.index))
		} else {
			b.WriteString(quoteLiteral(step.key))
		}
	}
	b.WriteString(")")
	return b.String()
}

// quoteLiteral quotes a text for SQL, whatever standard_conforming_strings is.
func quoteLiteral(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\x00", ""), "'", "''")
	if strings.Contains(s, `\`) {
		return "E'" + strings.ReplaceAll(s, `\`, `\\`) + "'"
	}
	return "'" + s + "'"
}
