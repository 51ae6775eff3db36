package extract

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// The ends of a Parquet file.
const (
	magic          = "PAR1"
	magicEncrypted = "PARE"
	tailSize       = 8 // length of the footer, magic
	footerLimit    = 256 << 20
)

var errEncrypted = errors.New("the file is encrypted")

// openFooter reads and checks a file's footer. The reader does not own file.
func openFooter(f io.ReaderAt, size, maxPage int64) (rdr *file.Reader, err error) {
	defer recoverTo(&err)
	length, err := checkTail(f, size)
	if err != nil {
		return nil, err
	}
	footer := make([]byte, length)
	if _, err := f.ReadAt(footer, size-tailSize-length); err != nil {
		return nil, err
	}
	if err := checkSchema(footer); err != nil {
		return nil, err
	}
	meta, err := metadata.NewFileMetaData(footer, nil)
	if err != nil {
		return nil, fmt.Errorf("read its footer: %w", err)
	}
	if meta.IsSetEncryptionAlgorithm() {
		return nil, errEncrypted
	}
	meta.SetSourceFileSize(size)
	props := parquet.NewReaderProperties(memory.NewGoAllocator())
	props.BufferedStreamEnabled = true
	props.BufferSize = 256 << 10
	props.MaxCompressedPageSize, props.MaxUncompressedPageSize = maxPage, maxPage
	rdr, err = file.NewParquetReader(io.NewSectionReader(f, 0, size), file.WithReadProps(props), file.WithMetadata(meta))
	if err != nil {
		return nil, fmt.Errorf("read its footer: %w", err)
	}
	return rdr, checkFooter(rdr)
}

// checkTail looks at the magic bytes and the footer length before anything is
// allocated by them, and returns that length.
func checkTail(f io.ReaderAt, size int64) (length int64, err error) {
	if size < int64(2*len(magic)+4) {
		return 0, fmt.Errorf("it has %d bytes: no Parquet file, or one that was cut off", size)
	}
	tail := make([]byte, tailSize)
	if _, err := f.ReadAt(tail, size-tailSize); err != nil {
		return 0, err
	}
	length = int64(binary.LittleEndian.Uint32(tail))
	switch string(tail[4:]) {
	case magic:
	case magicEncrypted:
		return 0, errEncrypted
	default:
		return 0, errorOfTail(f)
	}
	if length > size-tailSize-int64(len(magic)) || length > footerLimit {
		return 0, fmt.Errorf("its footer claims %d of the file's %d bytes: the file is damaged", length, size)
	}
	return length, nil
}

// errorOfTail says why a file does not end as Parquet files do.
func errorOfTail(f io.ReaderAt) error {
	head := make([]byte, len(magic))
	if _, err := f.ReadAt(head, 0); err != nil {
		return err
	}
	if string(head) != magic && string(head) != magicEncrypted {
		return errors.New("it is no Parquet file: it does not begin with PAR1")
	}
	return errors.New("it does not end with PAR1: it was cut off, or is still being written")
}

// maxSchemaDepth bounds schemas: everything that looks at one goes down into
// it, and there is only so much stack.
const maxSchemaDepth = 200

// checkSchema looks at how deep the schema of a footer is before it is built,
// and takes the logical types out of it that nobody knows yet: their values are
// read as they are stored.
func checkSchema(footer []byte) error {
	p := thriftParser{rest: footer}
	switch depth := p.schemaDepth(); {
	case depth > maxSchemaDepth:
		return fmt.Errorf("its columns are nested more than %d deep", maxSchemaDepth)
	case p.bad || p.short:
		return errors.New("read its footer: it is malformed")
	}
	for _, end := range p.unknown {
		footer[len(footer)-end] += nextField
	}
	return nil
}

// checkFooter refuses counts that contradict each other.
func checkFooter(rdr *file.Reader) error {
	meta := rdr.MetaData()
	var rows int64
	for i, group := range meta.RowGroups {
		if group.NumRows < 0 || group.NumRows > meta.NumRows {
			return fmt.Errorf("row group %d claims %d rows: the file is damaged", i, group.NumRows)
		}
		if len(group.Columns) != meta.Schema.NumColumns() {
			return fmt.Errorf("row group %d has %d columns, the schema %d: the file is damaged", i, len(group.Columns), meta.Schema.NumColumns())
		}
		rows += group.NumRows
	}
	if rows != meta.NumRows {
		return fmt.Errorf("its row groups hold %d rows, its footer says %d: the file is damaged", rows, meta.NumRows)
	}
	return nil
}

// chunkOf finds where the pages of a leaf lie in a row group.
func chunkOf(group *metadata.RowGroupMetaData, leaf int, size, maxPage int64) (chunk, error) {
	meta, err := group.ColumnChunk(leaf)
	if err != nil {
		return chunk{}, err
	}
	start := meta.DataPageOffset()
	if meta.HasDictionaryPage() && meta.DictionaryPageOffset() > 0 && meta.DictionaryPageOffset() < start {
		start = meta.DictionaryPageOffset()
	}
	c := chunk{start: start, end: size - tailSize, values: meta.NumValues(), maxPage: maxPage}
	inList := group.Schema.Column(leaf).MaxRepetitionLevel() > 0
	length := meta.TotalCompressedSize()
	switch {
	case meta.FilePath() != "":
		return c, fmt.Errorf("its data lies in another file, %s", meta.FilePath())
	case c.values != group.NumRows() && !inList, c.values < group.NumRows():
		return c, fmt.Errorf("it has %d values for %d rows", c.values, group.NumRows())
	case c.values == 0:
		return c, nil
	case start < int64(len(magic)) || length < 0 || start > c.end || length > c.end-start:
		return c, fmt.Errorf("the footer places it at bytes %d to %d of %d: the file is damaged", start, start+length, size)
	}
	return c, nil
}

// recoverTo turns a panic of the decoder into an error.
func recoverTo(err *error) {
	switch r := recover().(type) {
	case nil:
	case error:
		*err = fmt.Errorf("decode it: %w (the file is damaged, or the decoder has a fault)", r)
	default:
		*err = fmt.Errorf("decode it: %v (the file is damaged, or the decoder has a fault)", r)
	}
}
