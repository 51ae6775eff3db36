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

// pageRows selects the rows of a page's conversations below the bound; false
// if the relation cannot have any.
func (r *pgRelation) pageRows(ids []string, upper Time) (*pgStatement, bool) {
	array := r.array(ids)
	if array == nil {
		return nil, false
	}
	s := &pgStatement{params: [][]byte{array}}
	s.sql = fmt.Sprintf("SELECT %s FROM %s WHERE %s = ANY ($1::%s[])%s", r.list, r.from, r.idColumn.sql, r.id.cast, r.below(s, upper)+r.only(" AND "))
	return s, true
}

// below is the condition that leaves out rows at or after the bound. Rows
// without a time stay: they may be ignored ones, or rejects.
func (r *pgRelation) below(s *pgStatement, upper Time) string {
	if r.sentCut == "" {
		return ""
	}
	return " AND (" + fmt.Sprintf(r.sentCut, s.arg(pgInstant(upper), "timestamptz")) + ") IS NOT TRUE"
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
	where := r.idColumn.sql + " IS NULL" + r.below(s, p.Upper) + r.only(" AND ")
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
		ids[i] = fmt.Sprintf("%s%d", r.prefix, 1000+i)
		if _, ok := r.idInput(ids[i]); !ok {
			ids[i] = fmt.Sprintf("%s00000000-0000-0000-0000-%012d", r.prefix, i)
		}
	}
	s, _ := r.pageRows(ids, latestAt(zeroDay))
	return s
}

// keysetIDs lists the next ids of all relations, after one of them if there is
// one, in the order of their indexes.
func keysetIDs(relations []*pgRelation, after *string, n int) (*pgStatement, error) {
	s := &pgStatement{}
	from, limit := "", s.arg(fmt.Sprint(n), "int8")
	if after != nil {
		raw, ok := relations[0].keysetInput(*after)
		if !ok {
			return nil, fmt.Errorf("go on after conversation %s: that is no id of %s", shown(textValue(*after)), relations[0].name)
		}
		from = s.arg(raw, relations[0].keysetCast())
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

// keysetInput is an id as the family has it: that of another set may not fit
// into the column of this one.
func (r *pgRelation) keysetInput(id string) (string, bool) {
	wide := *r
	if r.id.family == "int" {
		wide.id.input = intInput(64)
	}
	return wide.idInput(id)
}

// keysetCast is a type that all ids of the family fit into.
func (r *pgRelation) keysetCast() string {
	if r.id.family == "int" {
		return "int8"
	}
	return r.id.cast
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
