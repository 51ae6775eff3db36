package extract

import (
	"context"
	"maps"
	"slices"
)

// pendingLookup is a lookup whose files are open and whose rows are still to be
// read: only the columns that expressions use are.
type pendingLookup struct {
	*lookupTable
	spec     Lookup
	compiler *compiler
	files    []*parquetFile
}

// openLookups reads the footers of all lookups.
func (o *opener) openLookups(ctx context.Context, specs map[string]Lookup) (all []*pendingLookup) {
	o.lookups = lookups{}
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		l := &pendingLookup{spec: specs[name]}
		l.compiler = o.compiler("lookups."+name, setLookups, l.spec.Set)
		l.files = o.footers(ctx, l.compiler, o.find(ctx, l.compiler, l.spec.Set))
		l.lookupTable = newLookupTable(name, l.spec, l.compiler.tables, o.cfg.Memory)
		o.lookups[name] = l.lookupTable
		o.Parquet.lookups = append(o.Parquet.lookups, l.files...)
		all = append(all, l)
	}
	return all
}

// compileLookup makes the mappings of a lookup, once it is known which of its
// columns expressions use.
func (o *opener) compileLookup(l *pendingLookup) {
	l.compiler.specs, l.compiler.fields = l.lookupFields(l.spec)
	useAll(l.compiler, l.files)
	o.errs = append(o.errs, l.compiler.errs...)
}

func (l *pendingLookup) load(ctx context.Context, maxPage int64) error {
	var s Scratch
	for _, f := range l.files {
		err := f.eachRow(ctx, maxPage, &s, func(int, int64) elementFunc {
			return func(row []Value, _ int, bad *problem) error { return l.take(f.mapping, row, &s, bad) }
		})
		if err != nil {
			return err
		}
	}
	return nil
}
