package extract

import (
	"fmt"
	"strings"
)

// pgStatement is SQL with its parameters, all of them texts.
type pgStatement struct {
	sql    string
	params [][]byte
}

// arg adds a parameter and returns the SQL that stands for it.
func (s *pgStatement) arg(text, typeName string) string {
	s.params = append(s.params, []byte(text))
	return fmt.Sprintf("$%d::%s", len(s.params), typeName)
}

// pageRows selects the rows of a page's conversations, those at or after the
// bound too; false if the relation cannot have any.
func (r *pgRelation) pageRows(ids []string) (*pgStatement, bool) {
	array := r.array(ids)
	if array == nil {
		return nil, false
	}
	s := &pgStatement{params: [][]byte{array}}
	s.sql = fmt.Sprintf("SELECT %s FROM %s WHERE %s = ANY ($1::%s[])%s", r.list, r.from, r.idColumn.sql, r.id.cast, r.only(" AND "))
	return s, true
}

// pgSpan is the conversations that follow each other in the order of an index:
// those after one, if there is one, up to another.
type pgSpan struct {
	after *string
	upto  string
}

// spanRows is pageRows for a span.
func (r *pgRelation) spanRows(span pgSpan) (*pgStatement, error) {
	s := &pgStatement{}
	upto, err := r.keysetArg(s, span.upto)
	if err != nil {
		return nil, err
	}
	where := r.idColumn.sql + " <= " + upto
	if span.after != nil {
		after, err := r.keysetArg(s, *span.after)
		if err != nil {
			return nil, err
		}
		where += " AND " + r.idColumn.sql + " > " + after
	}
	s.sql = fmt.Sprintf("SELECT %s FROM %s WHERE %s%s", r.list, r.from, where, r.only(" AND "))
	return s, nil
}

// strayRows selects the rows of no conversation that a pass looks at, up to a
// number of them.
func (r *pgRelation) strayRows(p *PostgresPass, limit int) *pgStatement {
	s := &pgStatement{}
	where := r.strayWhere(s, p)
	s.sql = fmt.Sprintf("SELECT %s FROM %s WHERE %s LIMIT %d", r.list, r.from, where, limit)
	return s
}

// countStrays counts them.
func (r *pgRelation) countStrays(p *PostgresPass) *pgStatement {
	s := &pgStatement{}
	s.sql = fmt.Sprintf("SELECT count(*)::text FROM %s WHERE %s", r.from, r.strayWhere(s, p))
	return s
}

func (r *pgRelation) strayWhere(s *pgStatement, p *PostgresPass) string {
	where := r.idColumn.sql + " IS NULL" + r.only(" AND ")
	if !p.Full {
		where += " AND " + r.changed.where(s, p.Lower, p.Upper)
	}
	return where
}

// allRows selects the whole of a relation.
func (r *pgRelation) allRows() *pgStatement {
	return &pgStatement{sql: "SELECT " + r.list + " FROM " + r.from + r.only(" WHERE ")}
}

// sample is a statement like those of the pages.
func (r *pgRelation) sample() *pgStatement {
	if r.idColumn == nil {
		return r.allRows()
	}
	const size = 2000
	ids := make([]string, size)
	for i := range ids {
		ids[i] = r.sampleID(i)
	}
	s, _ := r.pageRows(ids)
	return s
}

// sampleSpan is a statement like those of pages that follow an index.
func (r *pgRelation) sampleSpan() (*pgStatement, error) {
	after := r.sampleID(0)
	return r.spanRows(pgSpan{&after, r.sampleID(1)})
}

// sampleID is an id that the relation could have.
func (r *pgRelation) sampleID(i int) string {
	id := fmt.Sprintf("%s%d", r.prefix, 1000+i)
	if _, ok := r.idInput(id); !ok {
		id = fmt.Sprintf("%s00000000-0000-0000-0000-%012d", r.prefix, i)
	}
	return id
}

// keysetIDs lists the next ids of all relations, after one of them if there is
// one, in the order of their indexes.
func keysetIDs(relations []*pgRelation, after *string, n int) (*pgStatement, error) {
	s := &pgStatement{}
	from, limit := "", s.arg(fmt.Sprint(n), "int8")
	if after != nil {
		var err error
		if from, err = relations[0].keysetArg(s, *after); err != nil {
			return nil, err
		}
	}
	var branches []string
	for _, r := range relations {
		where := r.idColumn.sql + " IS NOT NULL"
		if from != "" {
			where = r.idColumn.sql + " > " + from
		}
		branches = append(branches, fmt.Sprintf("(SELECT DISTINCT %s AS id FROM %s WHERE %s ORDER BY 1 LIMIT %s)", r.idColumn.sql, r.from, where, limit))
	}
	s.sql = fmt.Sprintf("SELECT %s FROM (%s) AS ids ORDER BY ids.id LIMIT %s",
		relations[0].id.idText("ids.id"), strings.Join(branches, " UNION "), limit)
	return s, nil
}

// keysetArg adds an id as the family has it: that of another set may not fit
// into the column of this one.
func (r *pgRelation) keysetArg(s *pgStatement, id string) (string, error) {
	wide := *r
	if r.id.family == "int" {
		wide.id.input, wide.id.cast = intInput(64), "int8"
	}
	raw, ok := wide.idInput(id)
	if !ok {
		return "", fmt.Errorf("find conversation %s: that is no id of %s", shown(textValue(id)), r.name)
	}
	return s.arg(raw, wide.id.cast), nil
}

// listIDs lists the ids of all conversations that a pass looks at, after one of
// them, in the order of their bytes.
func listIDs(relations []*pgRelation, p *PostgresPass, after string) *pgStatement {
	s := &pgStatement{}
	var branches []string
	for _, r := range relations {
		where := r.idColumn.sql + " IS NOT NULL"
		if !p.Full {
			where += " AND " + r.changed.where(s, p.Lower, p.Upper)
		}
		id := r.id.idText(r.idColumn.sql)
		if r.prefix != "" {
			id = s.arg(r.prefix, "text") + " || " + id
		}
		branches = append(branches, fmt.Sprintf(`SELECT (%s) COLLATE "C" AS id FROM %s WHERE %s`, id, r.from, where))
	}
	if len(p.Due) > 0 && !p.Full {
		branches = append(branches, `SELECT unnest(`+s.arg(string(pgArray(p.Due)), "text[]")+`) COLLATE "C" AS id`)
	}
	s.sql = `SELECT DISTINCT ids.id FROM (` + strings.Join(branches, " UNION ALL ") + `) AS ids`
	where := " WHERE "
	if after != "" {
		s.sql += where + `ids.id > ` + s.arg(after, "text") + ` COLLATE "C"`
		where = " AND "
	}
	if p.Shard.Of > 1 {
		s.sql += where + p.Shard.where("ids.id", relations[0].encoding)
	}
	s.sql += ` ORDER BY ids.id`
	return s
}
