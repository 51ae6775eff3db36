package extract

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"pgregory.net/rapid"
)

// Properties draw the same in every run: -rapid.seed=0 draws something else.
func init() {
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
}

// testNow is the clock of all tests.
var testNow = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// failer is what tests and property tests share.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

var (
	_ failer = (*testing.T)(nil)
	_ failer = (*rapid.T)(nil)
)

func column(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// writeParquet writes rows, a JSON array of objects, in groups of groupRows.
func writeParquet(t failer, path string, fields []arrow.Field, rows string, groupRows int64, opts ...parquet.WriterProperty) {
	t.Helper()
	writeParquetParts(t, path, fields, []string{rows}, groupRows, opts...)
}

// writeParquetParts is writeParquet of several JSON arrays: decoding a large
// one takes long.
func writeParquetParts(t failer, path string, fields []arrow.Field, rows []string, groupRows int64, opts ...parquet.WriterProperty) {
	t.Helper()
	table, err := array.TableFromJSON(memory.DefaultAllocator, arrow.NewSchema(fields, nil), rows)
	if err != nil {
		t.Fatalf("make rows: %v", err)
	}
	defer table.Release()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatalf("make folder: %v", err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatalf("create file: %v", err)
	}
	props := pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema())
	if err := pqarrow.WriteTable(table, f, max(groupRows, 1), parquet.NewWriterProperties(opts...), props); err != nil {
		t.Fatalf("write %s: %v", path, err)
	}
}

var text = arrow.BinaryTypes.String

// plainFields are columns that map to messages by their names.
var plainFields = []arrow.Field{
	column("conversation_id", text), column("message_id", text), column("sent_at", text),
	column("role", text), column("kind", text), column("author_id", text), column("body", text),
}
