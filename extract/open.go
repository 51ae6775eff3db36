package extract

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"golang.org/x/sync/errgroup"
)

// opener collects the mistakes of all sets while they are opened.
type opener struct {
	*Parquet
	latest  Time
	origins uint32
	lookups lookups
	errs    []error
	known   map[FileKey]*File
	opened  []*fileSet
}

// fileSet is a set with its files. Those that are known are opened when they are
// read, the others at once.
type fileSet struct {
	set   Set
	kind  string
	label string
	specs []fieldSpec
	extra []ExtraField
	files []*parquetFile
}

// mistakes are all errors, unless files could not be read for now: then others
// may only follow from that.
func (o *opener) mistakes(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := errors.Join(o.errs...)
	var down *SourceUnavailable
	if errors.As(err, &down) {
		return down
	}
	return err
}

// sets opens the files of the sets of one kind.
func (o *opener) sets(ctx context.Context, kind string, sets []Set, specs []fieldSpec, extra []ExtraField) (all []*parquetFile) {
	for i, set := range sets {
		s := &fileSet{set: set, kind: kind, label: setLabel(kind, sets, i), specs: specs, extra: extra}
		c := o.compilerOf(s)
		s.files = o.find(ctx, c, set)
		o.errs, c.errs = append(o.errs, c.errs...), nil
		o.open(ctx, c, s, slices.DeleteFunc(slices.Clone(s.files), o.isKnown))
		o.opened = append(o.opened, s)
		all = append(all, s.files...)
	}
	return all
}

func (o *opener) isKnown(f *parquetFile) bool {
	now := f.identity()
	known := o.known[now.Key()]
	return known != nil && known.Is(&now)
}

// open makes the mappings of some files of a set. What seems to be a mistake may
// not be one next to the set's other files: only these have a column, for example.
func (o *opener) open(ctx context.Context, c *compiler, s *fileSet, files []*parquetFile) {
	opened := o.footers(ctx, c, files)
	if useAll(c, opened); len(c.errs) > 0 && len(opened) == len(files) && len(files) < len(s.files) {
		c = o.compilerOf(s)
		useAll(c, o.footers(ctx, c, s.files))
	}
	o.errs = append(o.errs, c.errs...)
}

func (o *opener) compilerOf(s *fileSet) *compiler {
	c := o.compiler(s.label, s.kind, s.set)
	c.specs, c.fields, c.extra, c.lookups = s.specs, s.set.Fields, s.extra, o.lookups
	return c
}

// ready opens those of some files that have not been opened yet.
func (p *Parquet) ready(ctx context.Context, files []*parquetFile) error {
	o := opener{Parquet: p, latest: latestAt(p.cfg.Now()), lookups: p.tables}
	for _, s := range p.sets {
		closed := slices.DeleteFunc(slices.Clone(s.files), func(f *parquetFile) bool {
			return f.mapping != nil || !slices.Contains(files, f)
		})
		if len(closed) > 0 {
			o.open(ctx, o.compilerOf(s), s, closed)
		}
	}
	p.countRows()
	return o.mistakes(ctx)
}

func (o *opener) compiler(label, kind string, set Set) *compiler {
	return &compiler{set: label, kind: kind, latest: o.latest, filter: set.Where, list: set.Nested, unfolds: true}
}

func setLabel(kind string, sets []Set, i int) string {
	label := kind
	if len(sets) > 1 {
		label = fmt.Sprintf("%s[%d]", kind, i)
	}
	if sets[i].Name != "" {
		label += " (" + sets[i].Name + ")"
	}
	return label
}

func checkSet(c *compiler, set Set) {
	for _, part := range [...]struct{ name, text string }{{"table", set.Table}, {"query", set.Query}} {
		if part.text != "" {
			c.fail("", "", part.name+" is not available for this source", "name files")
		}
	}
	if len(set.Files) == 0 {
		c.fail("", "", "files is missing", "name files, folders or globs")
	}
}

// find lists a set's files.
func (o *opener) find(ctx context.Context, c *compiler, set Set) (found []*parquetFile) {
	checkSet(c, set)
	files, errs := resolveFiles(ctx, o.cfg.Dir, set.Files, o.buckets)
	c.errs = append(c.errs, errs...)
	for _, f := range files {
		found = append(found, &parquetFile{sourceFile: f, set: c.kind, label: c.set, origin: o.origins})
		o.origins++
	}
	return found
}

// footersAtOnce is how many footers are read at once: in a bucket each takes a
// request or two, which mostly wait.
const footersAtOnce = 16

// footers reads the footers of files and returns those that have a good one.
func (o *opener) footers(ctx context.Context, c *compiler, files []*parquetFile) (opened []*parquetFile) {
	columns, errs := make([][]Column, len(files)), make([]error, len(files))
	var g errgroup.Group
	g.SetLimit(footersAtOnce)
	for i, f := range files {
		g.Go(func() error {
			if errs[i] = ctx.Err(); errs[i] == nil {
				errs[i] = Contain(func() (err error) { columns[i], err = f.readFooter(ctx, o.maxPage); return err })
			}
			return nil
		})
	}
	_ = g.Wait() // each file has its own error
	for i, f := range files {
		if errs[i] != nil {
			c.errs = append(c.errs, errs[i])
			continue
		}
		opened = append(opened, f)
		all := append(columns[i], pathColumns(f.path, columns[i])...)
		c.tables = append(c.tables, table{name: f.name, columns: all, find: findColumn(all)})
	}
	return opened
}

// useAll compiles the mappings of a set's files. What has one keeps it.
func useAll(c *compiler, files []*parquetFile) {
	if len(files) == 0 {
		return
	}
	for i, m := range c.compile() {
		if files[i].mapping != nil {
			continue
		}
		if err := files[i].use(m); err != nil {
			c.errs = append(c.errs, err)
		}
	}
}

// leafInfo is what footers say of a leaf in all row groups.
type leafInfo struct {
	size  int64 // uncompressed
	codec compress.Compression
}

// readFooter returns the file's columns.
func (f *parquetFile) readFooter(ctx context.Context, maxPage int64) (columns []Column, err error) {
	open, err := f.openReader(ctx, maxPage)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(open.fault(err), open.file.Close()) }()
	defer recoverTo(&err)
	meta := open.rdr.MetaData()
	f.groups, f.leaves = nil, make([]leafInfo, meta.Schema.NumColumns())
	for _, group := range meta.RowGroups {
		f.groups = append(f.groups, group.NumRows)
		for i, col := range group.Columns {
			if col.MetaData != nil {
				f.leaves[i].size += max(0, col.MetaData.TotalUncompressedSize)
				f.leaves[i].codec = compress.Compression(col.MetaData.Codec)
			}
		}
	}
	return schemaColumns(meta.Schema), nil
}

// use sets the file's mapping and refuses columns that cannot be decompressed.
func (f *parquetFile) use(m *Mapping) error {
	f.mapping = m
	f.shapes = make([]*shape, len(m.Columns))
	for i, col := range m.Columns {
		leaves := []int{col.index}
		if col.index < 0 {
			if f.shapes[i] = m.neededOf(i); f.shapes[i] == nil {
				continue // a type that no field can take, which the compiler reported
			}
			leaves = f.shapes[i].leaves(nil)
		}
		for _, leaf := range leaves {
			f.bytes += f.leaves[leaf].size
			if _, err := compress.GetCodec(f.leaves[leaf].codec); err != nil {
				return &FileError{
					Path: f.name,
					Err:  fmt.Errorf("column %s is compressed with %s, which cannot be read", col.Name, f.leaves[leaf].codec),
					Try:  "write the file with snappy, gzip, zstd, brotli or lz4_raw",
				}
			}
		}
	}
	return nil
}

// neededOf is the shape of a list or struct with the leaves that the mapping
// needs.
func (m *Mapping) neededOf(slot int) *shape {
	whole := m.Columns[slot].shape
	if whole == nil || m.whole[slot] {
		return whole
	}
	wanted := map[int]bool{}
	want := func(from *shape, steps []jsonStep) {
		if end, ok := from.at(steps); ok {
			for _, leaf := range end.leaves(nil) {
				wanted[leaf] = true
			}
		}
	}
	var list *shape // of the elements, if they are in this column
	if m.list != nil && m.list.slot == slot {
		list = whole
	}
	for i, d := range m.derived {
		switch {
		case m.list != nil && m.list.slot == slotDerived-i:
			if d.slot == slot {
				list, _ = whole.at(d.steps)
			}
		case d.slot == slot:
			want(whole, d.steps)
		}
	}
	m.wantElements(list, want, wanted)
	return whole.project(wanted)
}

func (m *Mapping) wantElements(list *shape, want func(*shape, []jsonStep), wanted map[int]bool) {
	switch {
	case list == nil:
		return
	case list.elem == nil: // JSON text
		want(list, nil)
		return
	case m.list.inner == slotNone:
		m.wantIn(list, slotElement, want, wanted)
		return
	}
	m.wantIn(list, slotOuter, want, wanted)
	inner, _ := list.elem.at(m.derived[slotDerived-m.list.inner].steps)
	if inner.elem == nil {
		want(inner, nil)
		return
	}
	m.wantIn(inner, slotElement, want, wanted)
}

// wantIn wants what is derived from the elements of a list. They count all the
// same if nothing is.
func (m *Mapping) wantIn(list *shape, slot int, want func(*shape, []jsonStep), wanted map[int]bool) {
	before := len(wanted)
	for i, d := range m.derived {
		if d.slot == slot && !m.isList(slotDerived-i) {
			want(list.elem, d.steps)
		}
	}
	if len(wanted) == before {
		wanted[list.leaves(nil)[0]] = true
	}
}
