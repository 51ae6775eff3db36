package jobs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// exportFormat is the format of exports that this program writes, and the only
// one that it reads: lines of JSON. The first is an exportHead. An object with
// the name of a table and its columns begins that table; each array after it is
// a row, bytes being base64. The last line has the numbers of rows: an export
// that was cut off has none.
const exportFormat = 1

type exportHead struct {
	Format   int       `json:"chatbackfill_state"`
	Schema   int64     `json:"schema"` // of the tables
	Program  string    `json:"program"`
	Exported time.Time `json:"exported"`
}

type exportTable struct {
	Table   string           `json:"table,omitempty"`
	Columns []tableColumn    `json:"columns,omitempty"`
	End     map[string]int64 `json:"end,omitempty"` // rows by table
}

// exporter writes rows as an export has them.
type exporter struct {
	out  *json.Encoder
	name string
	rows map[string]int64
}

func (e *exporter) table(_ context.Context, name string, columns []tableColumn) error {
	e.name = name
	e.rows[name] = 0
	return e.out.Encode(exportTable{Table: name, Columns: columns})
}

func (e *exporter) row(_ context.Context, values []any) error {
	e.rows[e.name]++
	return e.out.Encode(values)
}

// ExportState writes all that a store holds into a new file, compressed if its
// name ends in .zst. It returns how many rows of each table there were.
func ExportState(ctx context.Context, from StateRef, path, version string, log *slog.Logger) (rows map[string]int64, err error) {
	source, err := from.open(ctx)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, &Error{Exit: ExitUsage, Err: fmt.Errorf("export the state: %w", err), Try: "the name of a new file"}
	}
	err = source.alone(ctx, log, func(ctx context.Context, _ []*Lease) error {
		rows, err = source.export(ctx, file, strings.HasSuffix(path, ".zst"), version)
		return err
	})
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		err = errors.Join(fmt.Errorf("export the state to %s: %w", path, err), os.Remove(path))
	}
	return rows, err
}

func (s *State) export(ctx context.Context, to io.Writer, compress bool, version string) (map[string]int64, error) {
	schema, err := s.schema(ctx)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewWriterSize(to, 1<<16)
	out, finish := io.Writer(buffered), func() error { return nil }
	if compress {
		packed, err := zstd.NewWriter(buffered)
		if err != nil {
			return nil, err
		}
		out, finish = packed, packed.Close
	}
	e := &exporter{out: json.NewEncoder(out), rows: make(map[string]int64)}
	e.out.SetEscapeHTML(false)
	err = e.out.Encode(exportHead{exportFormat, schema.Version, version, time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		err = s.dump(ctx, e)
	}
	if err == nil {
		err = e.out.Encode(exportTable{End: e.rows})
	}
	return e.rows, errors.Join(err, finish(), buffered.Flush())
}

// ImportState writes an export into a store, as one transaction. It returns how
// many rows of each table there were.
func ImportState(ctx context.Context, path string, to StateRef) (rows map[string]int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, &Error{Exit: ExitUsage, Err: fmt.Errorf("import the state: %w", err), Try: "the name of a file that state export has written"}
	}
	defer file.Close()
	in, err := openExport(file, strings.HasSuffix(path, ".zst"))
	if err != nil {
		return nil, fmt.Errorf("import the state from %s: %w", path, err)
	}
	defer in.close()
	target, err := to.openTarget(ctx)
	if err != nil {
		return nil, err
	}
	defer target.Close()
	if rows, err = in.into(ctx, target); err != nil {
		return nil, fmt.Errorf("import the state from %s: %w", path, err)
	}
	return rows, nil
}

// importer reads an export.
type importer struct {
	head  exportHead
	in    *json.Decoder
	close func()
}

func openExport(file io.Reader, compressed bool) (*importer, error) {
	i := &importer{close: func() {}}
	in := io.Reader(bufio.NewReaderSize(file, 1<<16))
	if compressed {
		packed, err := zstd.NewReader(in)
		if err != nil {
			return nil, err
		}
		in, i.close = packed, packed.Close
	}
	i.in = json.NewDecoder(in)
	i.in.UseNumber()
	if err := i.in.Decode(&i.head); err != nil || i.head.Format == 0 {
		return nil, &Error{Exit: ExitUsage, Err: errors.New("it is no export of a state store"), Try: "the name of a file that state export has written"}
	}
	if i.head.Format > exportFormat {
		return nil, &Error{Exit: ExitDiffers, Err: fmt.Errorf("it has format %d, this program knows %d", i.head.Format, exportFormat),
			Try: "the version of chatbackfill that wrote it, or a later one"}
	}
	return i, nil
}

// into writes the export into a store. What an older version has exported goes
// through a store of its schema, which is brought up to date.
func (i *importer) into(ctx context.Context, target *State) (map[string]int64, error) {
	schema, err := target.schema(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case i.head.Schema > schema.Program:
		return nil, &Error{Exit: ExitDiffers, Err: fmt.Errorf("it has schema %d, this program knows %d", i.head.Schema, schema.Program),
			Try: "the version of chatbackfill that wrote it, or a later one"}
	case i.head.Schema == schema.Program:
		return target.load(ctx, func(to rowSink) error { return i.read(ctx, to) })
	}
	dir, err := os.MkdirTemp("", "chatbackfill-import-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	older, err := connectSQLite(filepath.Join(dir, "state.db"))
	if err != nil {
		return nil, err
	}
	defer older.Close()
	provider, err := older.provider()
	if err != nil {
		return nil, err
	}
	if _, err := provider.UpTo(ctx, i.head.Schema); err != nil {
		return nil, err
	}
	if _, err := older.load(ctx, func(to rowSink) error { return i.read(ctx, to) }); err != nil {
		return nil, err
	}
	if err := older.up(ctx); err != nil {
		return nil, err
	}
	return target.load(ctx, func(to rowSink) error { return older.dump(ctx, to) })
}

// read gives the rows of the export to a sink.
func (i *importer) read(ctx context.Context, to rowSink) error {
	var columns []tableColumn
	read := make(map[string]int64)
	table := ""
	for line := 2; ; line++ {
		var text json.RawMessage
		if err := i.in.Decode(&text); err != nil {
			return fmt.Errorf("line %d: it is cut off: %w", line, err)
		}
		if text[0] == '[' {
			values, err := decodeRow(text, columns)
			if err != nil {
				return fmt.Errorf("line %d: %w", line, err)
			}
			read[table]++
			if err := to.row(ctx, values); err != nil {
				return err
			}
			continue
		}
		var t exportTable
		if err := json.Unmarshal(text, &t); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if t.End != nil {
			return compareRows(read, t.End)
		}
		table, columns = t.Table, t.Columns
		if err := to.table(ctx, table, columns); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

func compareRows(read, said map[string]int64) error {
	for table, n := range said {
		if read[table] != n {
			return fmt.Errorf("it has %d rows of %s, and says %d", read[table], table, n)
		}
	}
	return nil
}

func decodeRow(text json.RawMessage, columns []tableColumn) ([]any, error) {
	var cells []json.RawMessage
	if err := json.Unmarshal(text, &cells); err != nil {
		return nil, err
	}
	if len(cells) != len(columns) {
		return nil, fmt.Errorf("%d values for %d columns", len(cells), len(columns))
	}
	values := make([]any, len(cells))
	for i, cell := range cells {
		var err error
		if values[i], err = decodeCell(cell, columns[i].Type); err != nil {
			return nil, fmt.Errorf("column %s: %w", columns[i].Name, err)
		}
	}
	return values, nil
}

func decodeCell(cell json.RawMessage, kind string) (any, error) {
	var err error
	switch kind {
	case typeInteger:
		var n int64
		err = json.Unmarshal(cell, &n)
		return n, err
	case typeBoolean:
		var b bool
		err = json.Unmarshal(cell, &b)
		return b, err
	case typeText:
		var s string
		err = json.Unmarshal(cell, &s)
		return s, err
	case typeBytes:
		b := []byte{}
		err = json.Unmarshal(cell, &b)
		return b, err
	}
	return nil, fmt.Errorf("type %q is none that a store has", kind)
}
