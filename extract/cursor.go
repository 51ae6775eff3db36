package extract

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// cursorRows is how many values are decoded at once: few enough that those of
// all columns stay in the processor's cache.
const cursorRows = 512

// cursor reads one leaf of one row group. Its values alias the page that they
// were decoded from and are valid until the next fill.
type cursor struct {
	fill   func() error // decodes the next values, at least one
	values []Value
	next   int // the first value not yet taken
	close  func() error

	// Of leaves in lists: the levels of the values.
	defs, reps []int16
}

func (c *cursor) left() int { return len(c.values) - c.next }

// columnChunk is the part of arrow-go's typed column readers that is used.
// ReadBatchInPage, unlike ReadBatch, copies nothing.
type columnChunk[T any] interface {
	file.ColumnChunkReader
	ReadBatchInPage(batch int64, values []T, defs, reps []int16) (total int64, read int, err error)
}

func newCursor(rdr file.ColumnChunkReader) (*cursor, error) {
	col := rdr.Descriptor()
	switch r := rdr.(type) {
	case *file.BooleanColumnChunkReader:
		return cursorOf(r, col, boolValue), nil
	case *file.Int32ColumnChunkReader:
		return cursorOf(r, col, int32Converter(col)), nil
	case *file.Int64ColumnChunkReader:
		return cursorOf(r, col, int64Converter(col)), nil
	case *file.Int96ColumnChunkReader:
		return cursorOf(r, col, int96Value), nil
	case *file.Float32ColumnChunkReader:
		return cursorOf(r, col, float32Value), nil
	case *file.Float64ColumnChunkReader:
		return cursorOf(r, col, floatValue), nil
	case *file.ByteArrayColumnChunkReader:
		return cursorOf(r, col, bytesConverter(col)), nil
	case *file.FixedLenByteArrayColumnChunkReader:
		return cursorOf(r, col, fixedConverter(col)), nil
	}
	return nil, fmt.Errorf("read column %s: unknown physical type %s", col.Path(), col.PhysicalType())
}

func cursorOf[T any](rdr columnChunk[T], col *schema.Column, convert func(T) Value) *cursor {
	c := &cursor{values: make([]Value, 0, cursorRows), close: rdr.Close}
	batch := make([]T, cursorRows)
	defs := make([]int16, cursorRows)
	var reps []int16
	if col.MaxRepetitionLevel() > 0 {
		reps = make([]int16, cursorRows)
	}
	maxDef := col.MaxDefinitionLevel()
	c.fill = func() error {
		if !rdr.HasNext() {
			return errors.Join(errors.New("it ends before the row group does"), rdr.Err())
		}
		total, read, err := rdr.ReadBatchInPage(cursorRows, batch, defs, reps)
		if err != nil {
			return err
		}
		if total <= 0 || total > cursorRows || read > int(total) || maxDef == 0 && read != int(total) {
			return fmt.Errorf("a page has %d values for %d rows", read, total)
		}
		c.next = 0
		c.defs, c.reps = defs[:total], reps[:min(total, int64(len(reps)))]
		c.values, err = spread(c.values[:total], batch[:read], defs[:total], maxDef, convert)
		return err
	}
	return c
}

// spread puts the values that are present where the definition levels say so.
func spread[T any](out []Value, present []T, defs []int16, maxDef int16, convert func(T) Value) ([]Value, error) {
	if maxDef == 0 {
		for i, v := range present {
			out[i] = convert(v)
		}
		return out, nil
	}
	n := 0
	for i, def := range defs {
		switch {
		case def < 0 || def > maxDef:
			return nil, fmt.Errorf("a page has the impossible definition level %d", def)
		case def < maxDef:
			out[i] = Value{}
		case n == len(present):
			return nil, errors.New("a page has fewer values than its levels say")
		default:
			out[i] = convert(present[n])
			n++
		}
	}
	if n != len(present) {
		return nil, errors.New("a page has more values than its levels say")
	}
	return out, nil
}
