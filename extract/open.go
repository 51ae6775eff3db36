package extract

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/compress"
)

// opener collects the mistakes of all sets while they are opened.
type opener struct {
	*Parquet
	latest  Time
	origins uint32
	errs    []error
}

// sets opens the files of the sets of one kind.
func (o *opener) sets(ctx context.Context, kind string, sets []Set, specs []fieldSpec, extra []ExtraField) (all []*parquetFile) {
	for i, set := range sets {
		c := compiler{set: setLabel(kind, sets, i), kind: kind, specs: specs, fields: set.Fields, extra: extra, latest: o.latest}
		o.checkSet(&c, set)
		files, errs := resolveFiles(o.cfg.Dir, set.Files)
		c.errs = append(c.errs, errs...)
		all = append(all, o.set(ctx, &c, files)...)
		o.errs = append(o.errs, c.errs...)
	}
	return all
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

func (o *opener) checkSet(c *compiler, set Set) {
	for _, part := range [...]struct{ name, text, try string }{
		{"table", set.Table, "name files"},
		{"query", set.Query, "name files"},
		{"where", set.Where, "map the rows that are not wanted to the kind ignore"},
		{"nested", set.Nested, "export one row for each message"},
	} {
		if part.text != "" {
			c.fail("", "", part.name+" is not available for this source", part.try)
		}
	}
	if len(set.Files) == 0 {
		c.fail("", "", "files is missing", "name files, folders or globs")
	}
}

// set reads the footers of a set's files and compiles their mappings.
func (o *opener) set(ctx context.Context, c *compiler, files []*sourceFile) []*parquetFile {
	var opened []*parquetFile
	var leaves [][]leafInfo
	for _, f := range files {
		if ctx.Err() != nil {
			return nil
		}
		p := &parquetFile{sourceFile: f, set: c.kind, origin: o.origins}
		o.origins++
		columns, info, err := p.readFooter(o.maxPage)
		if err != nil {
			c.errs = append(c.errs, err)
			continue
		}
		opened = append(opened, p)
		leaves = append(leaves, info)
		c.tables = append(c.tables, table{name: f.name, columns: columns, find: findColumn(columns)})
	}
	if len(opened) == 0 {
		return nil
	}
	for i, m := range c.compile() {
		if err := opened[i].use(m, leaves[i]); err != nil {
			c.errs = append(c.errs, err)
		}
	}
	return opened
}

// leafInfo is what footers say of a leaf in all row groups.
type leafInfo struct {
	size  int64 // uncompressed
	codec compress.Compression
}

// readFooter returns the file's columns and what there is to know of its leaves.
func (f *parquetFile) readFooter(maxPage int64) (columns []Column, leaves []leafInfo, err error) {
	open, err := f.openReader(maxPage)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(f.fault(err), open.file.Close()) }()
	defer recoverTo(&err)
	meta := open.rdr.MetaData()
	leaves = make([]leafInfo, meta.Schema.NumColumns())
	for _, group := range meta.RowGroups {
		f.groups = append(f.groups, group.NumRows)
		for i, col := range group.Columns {
			if col.MetaData != nil {
				leaves[i].size += max(0, col.MetaData.TotalUncompressedSize)
				leaves[i].codec = compress.Compression(col.MetaData.Codec)
			}
		}
	}
	return schemaColumns(meta.Schema), leaves, nil
}

// use sets the file's mapping and refuses columns that cannot be decompressed.
func (f *parquetFile) use(m *Mapping, leaves []leafInfo) error {
	f.mapping = m
	for _, col := range m.Columns {
		if col.index < 0 {
			continue // a type that no field can take, which the compiler reported
		}
		f.bytes += leaves[col.index].size
		if _, err := compress.GetCodec(leaves[col.index].codec); err != nil {
			return &FileError{
				Path: f.name,
				Err:  fmt.Errorf("column %s is compressed with %s, which cannot be read", col.Name, leaves[col.index].codec),
				Try:  "write the file with snappy, gzip, zstd, brotli or lz4_raw",
			}
		}
	}
	return nil
}
