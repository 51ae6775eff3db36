package extract

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"
	"github.com/xitongsys/parquet-go-source/local"
	"github.com/xitongsys/parquet-go/writer"

	"os"
)

// readAll returns the texts of all columns that a field can take, by row.
func readAll(t *testing.T, path string) (types string, rows []string) {
	t.Helper()
	types, rows, err := tryReadAll(path)
	if err != nil {
		t.Fatal(err)
	}
	return types, rows
}

func tryReadAll(path string) (types string, rows []string, err error) {
	f, err := statFile(filepath.Dir(path), path)
	if err != nil {
		return "", nil, err
	}
	p := &parquetFile{sourceFile: f}
	columns, err := p.readFooter(context.Background(), minPageLimit)
	if err != nil {
		return "", nil, err
	}
	m := &Mapping{whole: map[int]bool{}}
	var names []string
	for _, col := range columns {
		names = append(names, col.Name+":"+col.Type.String())
		if col.Type != TypeOther {
			m.slot(col)
		}
	}
	if err := p.use(m); err != nil {
		return "", nil, err
	}
	open, err := p.openReader(context.Background(), minPageLimit)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, open.file.Close()) }()
	for group := range p.groups {
		err := open.readGroup(context.Background(), group, func(row []Value, number int64) error {
			var texts []string
			for _, v := range row {
				texts = append(texts, shown(v))
			}
			rows = append(rows, fmt.Sprintf("%d %s", number, strings.Join(texts, " ")))
			return nil
		}, func(int64) {})
		if err != nil {
			return "", nil, err
		}
	}
	return strings.Join(names, " "), rows, nil
}

func TestReadTypes(t *testing.T) {
	for _, c := range []struct {
		name   string
		typ    arrow.DataType
		json   string
		column Type
		want   string
		props  []pqarrow.WriterOption
	}{
		{"bool", arrow.FixedWidthTypes.Boolean, `true`, TypeBool, "true", nil},
		{"int8", arrow.PrimitiveTypes.Int8, `-5`, TypeInt, "-5", nil},
		{"int16", arrow.PrimitiveTypes.Int16, `-500`, TypeInt, "-500", nil},
		{"int32", arrow.PrimitiveTypes.Int32, `-5`, TypeInt, "-5", nil},
		{"int64", arrow.PrimitiveTypes.Int64, `"9223372036854775807"`, TypeInt, "9223372036854775807", nil},
		{"uint8", arrow.PrimitiveTypes.Uint8, `200`, TypeUint, "200", nil},
		{"uint32", arrow.PrimitiveTypes.Uint32, `4294967295`, TypeUint, "4294967295", nil},
		{"uint64", arrow.PrimitiveTypes.Uint64, `"18446744073709551615"`, TypeUint, "18446744073709551615", nil},
		{"float16", arrow.FixedWidthTypes.Float16, `1.5`, TypeFloat, "1.5", nil},
		{"float", arrow.PrimitiveTypes.Float32, `0.1`, TypeFloat, "0.1", nil},
		{"double", arrow.PrimitiveTypes.Float64, `1700000000.25`, TypeFloat, "1700000000.25", nil},
		{"string", text, `"hé\u0000"`, TypeText, `"hé\x00"`, nil},
		{"large string", arrow.BinaryTypes.LargeString, `"x"`, TypeText, `"x"`, nil},
		{"binary", arrow.BinaryTypes.Binary, `"YWJj"`, TypeText, `"abc"`, nil},
		{"fixed binary", &arrow.FixedSizeBinaryType{ByteWidth: 3}, `"YWJj"`, TypeBinary, "616263", nil},
		{"uuid", extensions.NewUUIDType(), `"123e4567-e89b-12d3-a456-426614174000"`, TypeUUID, "123e4567-e89b-12d3-a456-426614174000", nil},
		{"date", arrow.FixedWidthTypes.Date32, `"2024-02-29"`, TypeDate, "2024-02-29", nil},
		{"timestamp ms", &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}, `"2024-02-29T10:00:00.5Z"`, TypeInstant, "2024-02-29T10:00:00.5Z", nil},
		{"timestamp us", &arrow.TimestampType{Unit: arrow.Microsecond}, `"2024-02-29T10:00:00.000005"`, TypeWallTime, "2024-02-29T10:00:00.000005", nil},
		{"timestamp ns", &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}, `"1969-12-31T23:59:59.999999999Z"`, TypeInstant, "1969-12-31T23:59:59.999999999Z", nil},
		{"int96", &arrow.TimestampType{Unit: arrow.Nanosecond}, `"1969-12-31T23:59:59.999999999"`, TypeInstant, "1969-12-31T23:59:59.999999999Z",
			[]pqarrow.WriterOption{pqarrow.WithDeprecatedInt96Timestamps(true)}},
		{"decimal 128", &arrow.Decimal128Type{Precision: 38, Scale: 3}, `"-12345678901234567890.120"`, TypeDecimal, "-12345678901234567890.12", nil},
		{"decimal 64", &arrow.Decimal128Type{Precision: 12, Scale: 2}, `"1050.00"`, TypeDecimal, "1050", nil},
		{"time of day", arrow.FixedWidthTypes.Time64us, `"10:00:00"`, TypeOther, "", nil},
		{"dictionary", &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: text}, `"x"`, TypeText, `"x"`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f.parquet")
			rows := fmt.Sprintf(`[{"v": %s, "n": 1}, {"v": null, "n": 2}, {"v": %s, "n": 3}]`, c.json, c.json)
			table, err := array.TableFromJSON(memory.DefaultAllocator,
				arrow.NewSchema([]arrow.Field{column("v", c.typ), column("n", arrow.PrimitiveTypes.Int64)}, nil), []string{rows})
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := pqarrow.WriteTable(table, f, 2, nil, pqarrow.NewArrowWriterProperties(c.props...)); err != nil {
				t.Fatal(err)
			}
			want := []string{"0 " + c.want + " 1", "1 null 2", "2 " + c.want + " 3"}
			if c.column == TypeOther {
				want = []string{"0 1", "1 2", "2 3"}
			}
			types, got := readAll(t, path)
			if d := cmp.Diff("v:"+c.column.String()+" n:integer", types); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadCodecsAndEncodings(t *testing.T) {
	var rows []string
	var want []string
	for i := range 3000 {
		if i%7 == 3 {
			rows = append(rows, fmt.Sprintf(`{"a": null, "b": %d}`, i))
			want = append(want, fmt.Sprintf("%d null %d", i, i))
			continue
		}
		rows = append(rows, fmt.Sprintf(`{"a": "text %d", "b": %d}`, i%50, i))
		want = append(want, fmt.Sprintf("%d %q %d", i, fmt.Sprintf("text %d", i%50), i))
	}
	codec := parquet.WithCompression
	for name, props := range map[string][]parquet.WriterProperty{
		"plain":        {parquet.WithDictionaryDefault(false), parquet.WithDataPageSize(1000)},
		"snappy":       {codec(compress.Codecs.Snappy), parquet.WithDataPageSize(500), parquet.WithBatchSize(64)},
		"gzip":         {codec(compress.Codecs.Gzip)},
		"zstd":         {codec(compress.Codecs.Zstd)},
		"brotli":       {codec(compress.Codecs.Brotli)},
		"lz4_raw":      {codec(compress.Codecs.Lz4Raw)},
		"version 2":    {parquet.WithDataPageVersion(parquet.DataPageV2), codec(compress.Codecs.Zstd), parquet.WithBatchSize(100), parquet.WithDataPageSize(700)},
		"delta":        {parquet.WithDictionaryDefault(false), parquet.WithEncodingFor("a", parquet.Encodings.DeltaByteArray), parquet.WithEncodingFor("b", parquet.Encodings.DeltaBinaryPacked)},
		"delta length": {parquet.WithDictionaryDefault(false), parquet.WithEncodingFor("a", parquet.Encodings.DeltaLengthByteArray)},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f.parquet")
			fields := []arrow.Field{column("a", text), column("b", arrow.PrimitiveTypes.Int64)}
			writeParquet(t, path, fields, "["+strings.Join(rows, ",")+"]", 1300, props...)
			_, got := readAll(t, path)
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d[:min(len(d), 1000)])
			}
		})
	}
}

// xitongRow is a row as the writer of our own Parquet files makes it. Its
// timestamps say of themselves that they are not in UTC.
type xitongRow struct {
	ID   string   `parquet:"name=id, type=BYTE_ARRAY, convertedtype=UTF8"`
	Raw  string   `parquet:"name=raw, type=BYTE_ARRAY"`
	At   int64    `parquet:"name=at, type=INT64, convertedtype=TIMESTAMP_MICROS"`
	N    *int32   `parquet:"name=n, type=INT32, convertedtype=UINT_8, repetitiontype=OPTIONAL"`
	Tags []string `parquet:"name=tags, type=LIST, valuetype=BYTE_ARRAY, valueconvertedtype=UTF8"`
}

func TestReadOtherWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.parquet")
	f, err := local.NewLocalFileWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.NewParquetWriter(f, new(xitongRow), 1)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 3, 1, 10, 0, 0, 5000, time.UTC).UnixMicro()
	for i := range 3 {
		row := xitongRow{ID: fmt.Sprint("c", i), Raw: "raw", At: at, Tags: []string{"x", "y"}}
		if i == 1 {
			row.N = ptr(int32(7))
		}
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.WriteStop(), f.Close()); err != nil {
		t.Fatal(err)
	}
	types, rows := readAll(t, path)
	if want := "id:text raw:text at:timestamp without zone n:unsigned integer tags:nested value"; types != want {
		t.Errorf("got types %s", types)
	}
	want := []string{
		`0 "c0" "raw" 2024-03-01T10:00:00.000005 null`,
		`1 "c1" "raw" 2024-03-01T10:00:00.000005 7`,
		`2 "c2" "raw" 2024-03-01T10:00:00.000005 null`,
	}
	if d := cmp.Diff(want, rows); d != "" {
		t.Error(d)
	}
}

func TestFindColumn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.parquet")
	author := arrow.StructOf(column("id", text), column("x.y", text))
	writeParquet(t, path, []arrow.Field{
		column("a", author), column("a.id", text), column("list", arrow.ListOf(author)), column("r", arrow.StructOf(column("a", author))),
	}, `[{"a": {"id": "struct", "x.y": "dotted"}, "a.id": "own", "r": {"a": {"id": "deep"}}}]`, 1)
	f, err := statFile("", path)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := (&parquetFile{sourceFile: f}).readFooter(context.Background(), minPageLimit)
	if err != nil {
		t.Fatal(err)
	}
	find := findColumn(columns)
	for path, want := range map[string]string{
		"a.id": `"a.id"`, `"a.id"`: `"a.id"`, `"a".id`: "a.id", `a."x.y"`: `a."x.y"`, "r.a.id": "r.a.id", "list": "list", "a": "a", "list.id": "", "b": "",
	} {
		if got, _ := find(path); got.Name != want {
			t.Errorf("find(%s) = %q, want %q", path, got.Name, want)
		}
	}
	if got, _ := find("list"); got.Type != TypeOther || got.Declared != "list" {
		t.Errorf("got %+v", got)
	}
}
