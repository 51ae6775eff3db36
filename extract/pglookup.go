package extract

import (
	"context"
	"maps"
	"slices"
)

// pgLookup is a lookup whose table is known and whose rows are still to be
// read: only the columns that expressions use are.
type pgLookup struct {
	*lookupTable
	spec     Lookup
	compiler *compiler
	relation *pgRelation
}

// openLookups resolves the tables of all lookups.
func (o *pgOpener) openLookups(ctx context.Context, specs map[string]Lookup) (all []*pgLookup, err error) {
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		l := &pgLookup{spec: specs[name]}
		l.compiler = o.compiler("lookups."+name, setLookups, l.spec.Set)
		if l.relation, err = o.describe(ctx, l.compiler, l.spec.Set); err != nil {
			return nil, err
		}
		l.lookupTable = newLookupTable(name, l.spec, l.compiler.tables, defaultMemory)
		o.lookups[name] = l.lookupTable
		all = append(all, l)
	}
	return all, nil
}

// compileLookup makes the mapping of a lookup, once it is known which of its
// columns expressions use.
func (o *pgOpener) compileLookup(ctx context.Context, l *pgLookup) error {
	l.compiler.specs, l.compiler.fields = l.lookupFields(l.spec)
	return o.compile(ctx, l.compiler, l.relation)
}

func (p *Postgres) loadLookup(ctx context.Context, l *pgLookup) error {
	return p.readAll(ctx, l.relation, func(s *Scratch) elementFunc {
		clear(l.rows)
		l.size = 0
		return func(row []Value, _ int, bad *problem) error { return l.take(l.relation.mapping, row, s, bad) }
	})
}
