package extract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// pgFilter is what Postgres judges of a set's where.
type pgFilter struct {
	sql   string // true or false of every row; empty: Postgres judges nothing
	whole bool   // the where has nothing else
}

// newFilter translates the terms that surely mean the same in SQL. It needs to
// know whether texts are stored in UTF-8.
func (r *pgRelation) newFilter(p predicate, unicode bool) pgFilter {
	f := pgFilter{whole: p.whole}
	var terms []string
	for _, t := range p.terms {
		if sql, ok := r.selected[t.slot].termSQL(t, unicode); ok {
			terms = append(terms, sql)
		} else {
			f.whole = false
		}
	}
	f.sql = strings.Join(terms, " AND ")
	return f
}

// termSQL is the SQL of a term, which is never NULL.
func (col *pgColumn) termSQL(t term, unicode bool) (sql string, ok bool) {
	c, ok := col.comparison(unicode)
	var constants []string
	null := false
	for _, v := range t.values {
		if v.Type == TypeNull {
			null = true
			continue
		}
		literal := ""
		if ok {
			literal, ok = c.literal(v)
		}
		if !ok {
			return "", false
		}
		constants = append(constants, literal)
	}
	if t.operator != opIn && t.operator != opNotIn {
		return fmt.Sprintf("(%s %s %s%s) IS TRUE", c.operand, t.operator, constants[0], c.rest), true
	}
	found := []string{"false"}
	if null {
		found = append(found, col.sql+" IS NULL")
	}
	if len(constants) > 0 {
		found = append(found, fmt.Sprintf("%s IN (%s)", c.operand, strings.Join(constants, ", ")))
	}
	is := map[operator]string{opIn: " IS TRUE", opNotIn: " IS NOT TRUE"}[t.operator]
	return "(" + strings.Join(found, " OR ") + ")" + is, true
}

// pgComparison is how a column is compared with constants.
type pgComparison struct {
	operand string // the column
	rest    string // a further condition on the column for orders
	literal func(v Value) (string, bool)
}

// comparison returns how the column is compared; false if expressions may see
// its values otherwise than Postgres does: numeric and real become doubles,
// char(n) is without its blanks, bytes are hex.
func (col *pgColumn) comparison(unicode bool) (pgComparison, bool) {
	switch col.oid {
	case pgtype.BoolOID:
		return pgComparison{col.sql, "", func(v Value) (string, bool) { return strconv.FormatBool(v.Int != 0), true }}, true
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return pgComparison{col.sql, "", intLiteral}, true
	case pgtype.Float8OID:
		return pgComparison{col.sql, " AND " + col.sql + " <> 'NaN'", floatLiteral}, true
	case pgtype.TimestamptzOID:
		return pgComparison{col.sql, "", timeLiteral("timestamptz", pgInstant)}, true
	case pgtype.TimestampOID, pgtype.DateOID:
		return pgComparison{col.sql, "", timeLiteral("timestamp", func(t Time) string { return pgWallTime(t, nil) })}, true
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.UUIDOID:
	default:
		if !col.isEnum && !col.isCitext() {
			return pgComparison{}, false
		}
	}
	// The bytes of texts are compared, whatever their collation.
	return pgComparison{col.sql + `::text COLLATE "C"`, "", textLiteral}, unicode
}

func intLiteral(v Value) (string, bool) {
	if v.Type == TypeInt {
		return "'" + strconv.FormatInt(v.Int, 10) + "'::int8", true
	}
	// Expressions make the integer a double: up to here it stays the same.
	const exact = 1 << 53
	f := v.float()
	return "'" + strconv.FormatFloat(f, 'f', -1, 64) + "'::numeric", -exact < f && f < exact
}

func floatLiteral(v Value) (string, bool) {
	f := float64(v.Int)
	if v.Type == TypeFloat {
		f = v.float()
	}
	return "'" + strconv.FormatFloat(f, 'g', -1, 64) + "'::float8", true
}

// timeLiteral refuses what values cannot be told apart from: they are cut to
// microseconds, and to a range.
func timeLiteral(cast string, text func(Time) string) func(Value) (string, bool) {
	return func(v Value) (string, bool) {
		t := Time(v.Int)
		return "'" + text(t) + "'::" + cast, t%1000 == 0 && firstTime < t && t < lastTime
	}
}

func textLiteral(v Value) (string, bool) {
	return quoteLiteral(v.Str), utf8.ValidString(v.Str) && strings.IndexByte(v.Str, 0) < 0
}

// compileFilter finds out what Postgres judges of the where, and what of a row
// is read then. The rows of a nested set are inside of values.
func (r *pgRelation) compileFilter(nested bool) {
	if r.mapping.where == nil || nested {
		return
	}
	r.filter = r.newFilter(r.mapping.where.simple, r.encoding == "UTF8")
	if r.filter.sql == "" || r.kind != SetMessages {
		return
	}
	sent := r.mapping.fields[fSentAt].slot
	if sent < 0 {
		r.filter = pgFilter{} // all is needed to know whether the row is below the bound
		return
	}
	list := strings.Builder{}
	for i, col := range r.selected {
		sql := col.sql
		if i != sent && i != r.mapping.fields[fConversationID].slot && !slices.Contains(pgSmall, col.oid) {
			sql = fmt.Sprintf("CASE WHEN %s THEN %s END", r.filter.sql, sql)
		}
		list.WriteString(sql + ", ")
	}
	r.list, r.judged = list.String()+r.filter.sql, true
}

// pgSmall are types whose values are sent even if the row is left out.
var pgSmall = []uint32{
	pgtype.BoolOID, pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID, pgtype.Float4OID, pgtype.Float8OID,
	pgtype.UUIDOID, pgtype.TimestamptzOID, pgtype.TimestampOID, pgtype.DateOID,
}

// only is the condition that leaves out the rows of a set whose rows nobody
// counts. Those of messages come, without their contents, to be counted.
func (r *pgRelation) only(before string) string {
	if r.filter.sql == "" || r.judged {
		return ""
	}
	return before + r.filter.sql
}
