package extract

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// FieldValues are the values that the rows of a set have in role or kind, those
// rows left out that its where leaves out.
type FieldValues struct {
	Set    string       `json:"set"`
	Field  string       `json:"field"`
	Values []ValueCount `json:"values"` // the most frequent first
	Others int64        `json:"others"` // rows with a value that is not listed, there being too many
}

// ValueCount is a value and what it means.
type ValueCount struct {
	Value    string `json:"value"`    // as text; NULL is null
	Means    string `json:"means"`    // the role or kind; empty: it has no mapping
	Rows     int64  `json:"rows"`     // that have it
	Rejected int64  `json:"rejected"` // of those, because it has no mapping
}

// maxValues is how many values of a field are told apart. A column with more is
// no role and no kind.
const maxValues = 1000

// valuesTimeout is how long Postgres may count for. Nobody waits longer for an
// answer that is about to be looked at.
const valuesTimeout = time.Minute

// valueFields are the fields of which values are counted.
var valueFields = []fieldSpec{messageFields[fRole], messageFields[fKind]}

// valueSet is a set of messages with nothing but what values are counted by.
func valueSet(set Set) Set {
	fields := set.Fields
	set.Fields = map[string]Field{}
	for _, spec := range valueFields {
		if f, ok := fields[spec.name]; ok {
			set.Fields[spec.name] = f
		}
	}
	return set
}

// valueCounter counts the roles and kinds of a set.
type valueCounter struct {
	set    string
	counts [2]map[string]*ValueCount
	others [2]int64
}

func newValueCounter(set string) *valueCounter {
	return &valueCounter{set: set, counts: [2]map[string]*ValueCount{{}, {}}}
}

// add counts rows that are all like one that was opened.
func (c *valueCounter) add(m *Mapping, row []Value, s *Scratch, rows int64) {
	if keep, bad := m.keeps(row, s); bad != nil || !keep {
		return
	}
	s.failed = nil
	role, hasRole, roleValue := lookUp(&m.fields[0], m.roles, ParseRole, row, s)
	kind, hasKind, kindValue := lookUp(&m.fields[1], m.kinds, ParseKind, row, s)
	hasKind = hasKind || kindValue.Type == TypeNull
	ignored := hasKind && Ignored(kind, role) != ""
	c.count(0, &m.fields[0], roleValue, role.String(), hasRole, hasRole || ignored, rows, s)
	c.count(1, &m.fields[1], kindValue, kind.String(), hasKind, hasKind, rows, s)
}

func (c *valueCounter) count(field int, b *binding, v Value, means string, known, fine bool, rows int64, s *Scratch) {
	if b.slot == slotConstant || b.unmapped() {
		return
	}
	text := "null"
	if v.Type != TypeNull {
		text = s.text(v)
	}
	found := c.counts[field][text]
	if found == nil {
		if len(c.counts[field]) == maxValues {
			c.others[field] += rows
			return
		}
		if !known {
			means = ""
		}
		found = &ValueCount{Value: strings.Clone(text), Means: means}
		c.counts[field][found.Value] = found
	}
	found.Rows += rows
	if !fine {
		found.Rejected += rows
	}
}

// result lists what was counted of the fields that are mapped to a column.
func (c *valueCounter) result() (all []FieldValues) {
	for i, spec := range valueFields {
		if len(c.counts[i]) == 0 {
			continue
		}
		f := FieldValues{Set: c.set, Field: spec.name, Others: c.others[i]}
		for _, v := range slices.SortedFunc(maps.Values(c.counts[i]), func(x, y *ValueCount) int {
			return cmp.Or(cmp.Compare(y.Rows, x.Rows), strings.Compare(x.Value, y.Value))
		}) {
			v.Value = cut(strings.ToValidUTF8(v.Value, "\ufffd"))
			f.Values = append(f.Values, *v)
		}
		all = append(all, f)
	}
	return all
}

// Values counts the values of role and kind in all rows. It reads nothing but
// what those need.
func (p *Parquet) Values(ctx context.Context) (all []FieldValues, err error) {
	for i, set := range p.cfg.Messages {
		o := opener{Parquet: p, latest: latestAt(p.cfg.Now()), lookups: p.tables}
		files := o.sets(ctx, SetMessages, []Set{valueSet(set)}, valueFields, nil)
		if err := o.mistakes(ctx); err != nil {
			return nil, err
		}
		counter := newValueCounter(setLabel(SetMessages, p.cfg.Messages, i))
		for _, f := range files {
			var s Scratch
			err := f.eachRow(ctx, p.maxPage, &s, func(int, int64) elementFunc {
				return func(row []Value, _ int, bad *problem) error {
					if bad == nil {
						counter.add(f.mapping, row, &s, 1)
					}
					return nil
				}
			})
			if err != nil {
				return nil, err
			}
		}
		all = append(all, counter.result()...)
	}
	return all, nil
}

// Values counts the values of role and kind in all rows. The database counts;
// it is given up after a minute with [ErrTooSlow].
func (p *Postgres) Values(ctx context.Context) (all []FieldValues, err error) {
	for i, set := range p.cfg.Messages {
		counter := newValueCounter(setLabel(SetMessages, p.cfg.Messages, i))
		if err := p.countValues(ctx, counter, valueSet(set)); err != nil {
			return nil, err
		}
		all = append(all, counter.result()...)
	}
	return all, nil
}

func (p *Postgres) countValues(ctx context.Context, counter *valueCounter, set Set) error {
	r, err := p.relationOf(ctx, counter.set, set, valueFields, nil)
	if err != nil {
		return err
	}
	statement, each := r.allRows(), func([]Value) int64 { return 1 }
	if n := len(r.selected); n > 0 && set.Nested == "" {
		statement, each = r.groups(), func(row []Value) int64 { return row[n].Int }
	}
	var s Scratch
	err = p.inTransaction(ctx, valuesTimeout, func(tx *pgTransaction) error {
		return r.read(ctx, tx, statement, &s, func(row []Value, _ bool) error {
			defer s.Reset()
			return r.mapping.unfold(row, &s, func(row []Value, _ int, bad *problem) error {
				if bad == nil {
					counter.add(r.mapping, row, &s, each(row))
				}
				return nil
			})
		})
	})
	if isTimeout(err) {
		return ErrTooSlow
	}
	return p.fault(err)
}

// relationOf resolves a set of messages of which only some fields are mapped.
func (p *Postgres) relationOf(ctx context.Context, label string, set Set, specs []fieldSpec, extra []ExtraField) (*pgRelation, error) {
	o := pgOpener{Postgres: p, latest: latestAt(p.cfg.Now()), lookups: p.tables}
	c := o.compiler(label, SetMessages, set)
	c.specs, c.fields, c.extra = specs, set.Fields, extra
	r, err := o.describe(ctx, c, set)
	if err != nil {
		return nil, err
	}
	r.kind = "" // its rows are counted, conversations are not found in it
	if err := o.compile(ctx, c, r); err != nil {
		return nil, err
	}
	return r, joined(o.errs)
}

// groups selects the distinct rows, each with how many there are of it.
func (r *pgRelation) groups() *pgStatement {
	s := &pgStatement{sql: "SELECT " + r.list + ", count(*) FROM " + r.from + r.only(" WHERE ") + " GROUP BY "}
	for i := range r.selected {
		if i > 0 {
			s.sql += ", "
		}
		s.sql += r.selected[i].sql
	}
	r.selected = append(r.selected, &pgColumn{Column: Column{Name: "count"}, pgCodec: pgCodecs[pgtype.Int8OID], oid: pgtype.Int8OID, typeName: "bigint"})
	return s
}
