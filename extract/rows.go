package extract

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/file"
)

// parquetFile is a file of a set with the mapping of its columns.
type parquetFile struct {
	*sourceFile
	mapping *Mapping
	groups  []int64 // rows of each row group
	origin  uint32
	set     string // the kind of its set
	label   string // of its set, as errors call it
	bytes   int64  // uncompressed, of the mapped columns
	leaves  []leafInfo
	shapes  []*shape // of the mapping's columns that are lists or structs
}

// openFile is a Parquet file being read by one goroutine.
type openFile struct {
	*parquetFile
	file    content
	rdr     *file.Reader
	maxPage int64
}

func (f *parquetFile) openReader(ctx context.Context, maxPage int64) (*openFile, error) {
	file, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	open := &openFile{f, file, nil, maxPage}
	open.rdr, err = openFooter(file, f.size, maxPage)
	if err != nil {
		return nil, errors.Join(open.fault(err), file.Close())
	}
	return open, nil
}

// fault is that of the file, unless reading its object has ended for a reason
// that explains whatever became of it.
func (f *openFile) fault(err error) error {
	if r, ok := f.file.(*objectReader); ok && err != nil && r.failed != nil {
		return r.failed
	}
	return f.parquetFile.fault(err)
}

// fault names the file in an error. If the file changed, that explains it.
func (f *parquetFile) fault(err error) error {
	var fileErr *FileError
	switch {
	case err == nil, errors.As(err, &fileErr), errors.Is(err, ErrChanged):
		return err
	}
	if changed := f.unchanged(); changed != nil {
		return changed
	}
	return &FileError{Path: f.name, Err: err, Try: tryFor(err)}
}

func tryFor(err error) string {
	switch {
	case errors.Is(err, errEncrypted):
		return "export it without encryption"
	case errors.Is(err, errPageSize):
		return "write the file with smaller pages, or raise source.parquet.memory"
	}
	return "check that the export was complete, and copy the file again"
}

// rowFunc gets a row, whose values are valid until it returns, and the row's
// number within the file, from 0.
type rowFunc func(row []Value, number int64) error

// readGroup reads the mapped columns of one row group. It calls each for every
// row and done for every stretch of rows. It returns an error unless it read as
// many rows as the footer says.
func (f *openFile) readGroup(ctx context.Context, group int, each rowFunc, done func(rows int64)) (err error) {
	var callErr error
	defer func() {
		if err != nil && callErr == nil {
			err = f.fault(fmt.Errorf("row group %d: %w", group, err))
		}
	}()
	defer recoverTo(&err)

	cursors, err := f.cursors(group)
	defer func() {
		for _, c := range cursors {
			err = errors.Join(err, c.close())
		}
	}()
	if err != nil {
		return err
	}
	first := int64(0)
	for i := range group {
		first += f.groups[i]
	}
	row := make([]Value, len(cursors))
	for at, left := first, f.groups[group]; left > 0; {
		if callErr = ctx.Err(); callErr != nil {
			return callErr
		}
		n, err := f.refill(cursors, left)
		if err != nil {
			return err
		}
		for range n {
			for i, c := range cursors {
				row[i] = c.values[c.next]
				c.next++
			}
			if callErr = each(row, at); callErr != nil {
				return callErr
			}
			at++
		}
		left -= n
		done(n)
	}
	return nil
}

// cursors opens the mapped columns of a row group after checking their pages.
func (f *openFile) cursors(group int) (cursors []*cursor, err error) {
	for i, col := range f.mapping.Columns {
		var c *cursor
		if col.index >= 0 {
			c, err = f.leafCursor(group, col.index)
		} else {
			c, err = f.nestedCursor(group, f.shapes[i])
		}
		if err != nil {
			return cursors, fmt.Errorf("column %s: %w", col.Name, err)
		}
		cursors = append(cursors, c)
	}
	return cursors, nil
}

func (f *openFile) leafCursor(group, leaf int) (*cursor, error) {
	rdr := f.rdr.RowGroup(group)
	c, err := chunkOf(rdr.MetaData(), leaf, f.size, f.maxPage)
	if err == nil {
		err = checkPages(f.file, c)
	}
	if err != nil {
		return nil, err
	}
	columnReader, err := rdr.Column(leaf)
	if err != nil {
		return nil, err
	}
	return newCursor(columnReader)
}

// refill makes every cursor have a value and returns how many rows all have.
func (f *openFile) refill(cursors []*cursor, left int64) (int64, error) {
	for i, c := range cursors {
		if c.left() == 0 {
			if err := c.fill(); err != nil {
				return 0, fmt.Errorf("column %s: %w", f.mapping.Columns[i].Name, err)
			}
		}
		left = min(left, int64(c.left()))
	}
	return left, nil
}

// readColumn reads one of the mapped columns of a row group, until each returns
// false.
func (f *openFile) readColumn(group, slot int, each func(Value) bool) (err error) {
	col := f.mapping.Columns[slot]
	defer func() {
		if err != nil {
			err = f.fault(fmt.Errorf("row group %d: column %s: %w", group, col.Name, err))
		}
	}()
	defer recoverTo(&err)
	c, err := f.leafCursor(group, col.index)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	for left := f.groups[group]; left > 0; left -= int64(len(c.values)) {
		if err := c.fill(); err != nil {
			return err
		}
		for _, v := range c.values {
			if !each(v) {
				return nil
			}
		}
	}
	return nil
}
