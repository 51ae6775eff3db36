package extract

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/google/go-cmp/cmp"
	format "github.com/xitongsys/parquet-go/parquet"
)

// leafCase is a physical type with a logical one: values, and what they read as.
type leafCase struct {
	name      string
	typ       Type
	node      func(parquet.Repetition) (schema.Node, error)
	write     func(w file.ColumnChunkWriter, defs []int16) error
	want      []string
	encodings []parquet.Encoding // beside PLAIN and dictionaries
}

// leafOf is a case of values, each of which is written every other row.
func leafOf[T any](name string, typ Type, logical schema.LogicalType, physical parquet.Type, size int, encodings []parquet.Encoding, values []T, want ...string) leafCase {
	return leafCase{name, typ, func(rep parquet.Repetition) (schema.Node, error) {
		if logical == nil {
			return schema.NewPrimitiveNode("v", rep, physical, -1, int32(size))
		}
		return schema.NewPrimitiveNodeLogical("v", rep, logical, physical, size, -1)
	}, func(w file.ColumnChunkWriter, defs []int16) error {
		all := slices.Concat(slices.Repeat([][]T{values}, leafRepeats)...)
		_, err := w.(interface {
			WriteBatch([]T, []int16, []int16) (int64, error)
		}).WriteBatch(all, defs, nil)
		return err
	}, want, encodings}
}

// leafRepeats is how often the values of a case are written: a few pages.
const leafRepeats = 40

func int96(day uint32, nanos uint64) (out parquet.Int96) {
	binary.LittleEndian.PutUint64(out[:], nanos)
	binary.LittleEndian.PutUint32(out[8:], day)
	return out
}

func fixed(values ...string) (all []parquet.FixedLenByteArray) {
	for _, v := range values {
		all = append(all, parquet.FixedLenByteArray(v))
	}
	return all
}

func byteArrays(values ...string) (all []parquet.ByteArray) {
	for _, v := range values {
		all = append(all, parquet.ByteArray(v))
	}
	return all
}

func halves(values ...float32) (all []parquet.FixedLenByteArray) {
	for _, v := range values {
		all = append(all, float16.New(v).ToLEBytes())
	}
	return all
}

var (
	splits   = []parquet.Encoding{parquet.Encodings.ByteStreamSplit}
	numbers  = []parquet.Encoding{parquet.Encodings.DeltaBinaryPacked, parquet.Encodings.ByteStreamSplit}
	strs     = []parquet.Encoding{parquet.Encodings.DeltaByteArray, parquet.Encodings.DeltaLengthByteArray}
	physical = parquet.Types
)

func leafCases() []leafCase {
	timestamp := func(utc bool, unit schema.TimeUnitType) schema.LogicalType {
		return schema.NewTimestampLogicalType(utc, unit)
	}
	whole := func(bits int8, signed bool) schema.LogicalType { return schema.NewIntLogicalType(bits, signed) }
	decimal := func(precision, scale int32) schema.LogicalType { return schema.NewDecimalLogicalType(precision, scale) }
	inf := math.Inf(1)
	return []leafCase{
		leafOf("boolean", TypeBool, nil, physical.Boolean, 0, []parquet.Encoding{parquet.Encodings.RLE}, []bool{true, false, false, true}, "true", "false", "false", "true"),
		leafOf("int32", TypeInt, nil, physical.Int32, 0, numbers, []int32{0, -1, math.MaxInt32, math.MinInt32}, "0", "-1", "2147483647", "-2147483648"),
		leafOf("int64", TypeInt, nil, physical.Int64, 0, numbers, []int64{0, -1, math.MaxInt64, math.MinInt64}, "0", "-1", "9223372036854775807", "-9223372036854775808"),
		leafOf("int8", TypeInt, whole(8, true), physical.Int32, 0, numbers, []int32{-128, 127}, "-128", "127"),
		leafOf("int64 signed", TypeInt, whole(64, true), physical.Int64, 0, numbers, []int64{-5, 5}, "-5", "5"),
		leafOf("uint8", TypeUint, whole(8, false), physical.Int32, 0, numbers, []int32{0, 255}, "0", "255"),
		leafOf("uint32", TypeUint, whole(32, false), physical.Int32, 0, numbers, []int32{-1, 1}, "4294967295", "1"),
		leafOf("uint64", TypeUint, whole(64, false), physical.Int64, 0, numbers, []int64{-1, 1}, "18446744073709551615", "1"),
		leafOf("float", TypeFloat, nil, physical.Float, 0, splits, []float32{0.1, -2.5, 1 << 30, float32(inf)}, "0.1", "-2.5", "1073741824", "+Inf"),
		leafOf("double", TypeFloat, nil, physical.Double, 0, splits, []float64{1700000000.25, -0.1, 1e300, -inf}, "1700000000.25", "-0.1", "1e+300", "-Inf"),
		leafOf("float16", TypeFloat, schema.Float16LogicalType{}, physical.FixedLenByteArray, 2, splits, halves(1.5, -0.25, 65504), "1.5", "-0.25", "65504"),
		leafOf("int96", TypeInstant, nil, physical.Int96, -1, nil, []parquet.Int96{int96(2440588, 1), int96(2460311, 36000e9), int96(2440587, 86399999999999), int96(5373484, 0)},
			"1970-01-01T00:00:00.000000001Z", "2024-01-01T10:00:00Z", "1969-12-31T23:59:59.999999999Z", lastTime.String()),
		leafOf("date", TypeDate, schema.DateLogicalType{}, physical.Int32, 0, numbers, []int32{0, 19782, -1}, "1970-01-01", "2024-02-29", "1969-12-31"),
		leafOf("instant ms", TypeInstant, timestamp(true, schema.TimeUnitMillis), physical.Int64, 0, numbers, []int64{1709200800500, -1}, "2024-02-29T10:00:00.5Z", "1969-12-31T23:59:59.999Z"),
		leafOf("instant us", TypeInstant, timestamp(true, schema.TimeUnitMicros), physical.Int64, 0, numbers, []int64{1709200800000005, math.MaxInt64}, "2024-02-29T10:00:00.000005Z", lastTime.String()),
		leafOf("instant ns", TypeInstant, timestamp(true, schema.TimeUnitNanos), physical.Int64, 0, numbers, []int64{1709200800000000007}, "2024-02-29T10:00:00.000000007Z"),
		leafOf("wall time ms", TypeWallTime, timestamp(false, schema.TimeUnitMillis), physical.Int64, 0, numbers, []int64{1709200800500}, "2024-02-29T10:00:00.5"),
		leafOf("wall time us", TypeWallTime, timestamp(false, schema.TimeUnitMicros), physical.Int64, 0, numbers, []int64{1709200800000005}, "2024-02-29T10:00:00.000005"),
		leafOf("wall time ns", TypeWallTime, timestamp(false, schema.TimeUnitNanos), physical.Int64, 0, numbers, []int64{-1}, "1969-12-31T23:59:59.999999999"),
		leafOf("decimal int32", TypeDecimal, decimal(9, 2), physical.Int32, 0, numbers, []int32{105000, -1, 7}, "1050", "-0.01", "0.07"),
		leafOf("decimal int64", TypeDecimal, decimal(18, 4), physical.Int64, 0, numbers, []int64{math.MaxInt64, -10000}, "922337203685477.5807", "-1"),
		leafOf("decimal fixed", TypeDecimal, decimal(5, 3), physical.FixedLenByteArray, 3, splits, fixed("\x00\x00\x01", "\xff\xff\xff", "\x00\x27\x10"), "0.001", "-0.001", "10"),
		leafOf("decimal binary", TypeDecimal, decimal(38, 1), physical.ByteArray, 0, strs, byteArrays("\x7f", "\xff\x00", "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "12.7", "-25.6", "472236648286964521369.5"),
		leafOf("string", TypeText, schema.StringLogicalType{}, physical.ByteArray, 0, strs, byteArrays("", "héllo", "a\x00b"), `""`, `"héllo"`, `"a\x00b"`),
		leafOf("enum", TypeText, schema.EnumLogicalType{}, physical.ByteArray, 0, strs, byteArrays("agent"), `"agent"`),
		leafOf("json", TypeText, schema.JSONLogicalType{}, physical.ByteArray, 0, strs, byteArrays(`{"a":1}`), `"{\"a\":1}"`),
		leafOf("binary", TypeText, nil, physical.ByteArray, 0, strs, byteArrays("abc", "\xff"), `"abc"`, `"\xff"`),
		leafOf("bson", TypeBinary, schema.BSONLogicalType{}, physical.ByteArray, 0, strs, byteArrays("\x05\x00"), "0500"),
		leafOf("fixed", TypeBinary, nil, physical.FixedLenByteArray, 3, splits, fixed("abc", "\x00\x01\xff"), "616263", "0001ff"),
		leafOf("uuid", TypeUUID, schema.UUIDLogicalType{}, physical.FixedLenByteArray, 16, splits, fixed("\x12\x3e\x45\x67\xe8\x9b\x12\xd3\xa4\x56\x42\x66\x14\x17\x40\x00"), "123e4567-e89b-12d3-a456-426614174000"),
	}
}

// TestLeaves reads back the exact values of every physical and logical type in
// every encoding that there is for it, in both versions of pages, with and
// without NULL; the codecs take turns.
func TestLeaves(t *testing.T) {
	codecs := []compress.Compression{
		compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Gzip, compress.Codecs.Zstd, compress.Codecs.Brotli, compress.Codecs.Lz4Raw,
	}
	turn := 0
	for _, c := range leafCases() {
		encodings := append([]parquet.Encoding{parquet.Encodings.Plain, parquet.Encodings.RLEDict}, c.encodings...)
		if c.typ == TypeBool {
			encodings = append(c.encodings, parquet.Encodings.Plain) // which have no dictionaries
		}
		for _, encoding := range encodings {
			for _, version := range []parquet.DataPageVersion{parquet.DataPageV1, parquet.DataPageV2} {
				for _, nulls := range []bool{false, true} {
					turn++
					codec := codecs[turn%len(codecs)]
					t.Run(fmt.Sprintf("%s %s v%d %s nulls=%t", c.name, encoding, version+1, codec, nulls), func(t *testing.T) {
						c.check(t, nulls, parquet.WithDictionaryDefault(encoding == parquet.Encodings.RLEDict), withEncoding(encoding),
							parquet.WithDataPageVersion(version), parquet.WithCompression(codec), parquet.WithDataPageSize(100), parquet.WithBatchSize(16))
					})
				}
			}
		}
	}
}

func withEncoding(e parquet.Encoding) parquet.WriterProperty {
	if e == parquet.Encodings.RLEDict {
		e = parquet.Encodings.Plain
	}
	return parquet.WithEncoding(e)
}

// check writes the values, if nulls with a NULL after each, and reads them.
func (c *leafCase) check(t *testing.T, nulls bool, opts ...parquet.WriterProperty) {
	rep, defs := parquet.Repetitions.Required, []int16(nil)
	var want []string
	for i := range leafRepeats * len(c.want) {
		want = append(want, fmt.Sprintf("%d %s", len(want), c.want[i%len(c.want)]))
		if nulls {
			want, defs = append(want, fmt.Sprintf("%d null", len(want))), append(defs, 1, 0)
		}
	}
	if nulls {
		rep = parquet.Repetitions.Optional
	}
	node, err := c.node(rep)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.parquet")
	writeLeaf(t, path, node, func(w file.ColumnChunkWriter) error { return c.write(w, defs) }, opts...)
	types, got := readAll(t, path)
	if want := "v:" + c.typ.String(); types != want {
		t.Errorf("got %s, want %s", types, want)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d[:min(len(d), 1000)])
	}
}

// writeLeaf writes a file of one column.
func writeLeaf(t *testing.T, path string, node schema.Node, write func(file.ColumnChunkWriter) error, opts ...parquet.WriterProperty) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{node}, -1)
	must(err)
	f, err := os.Create(path)
	must(err)
	w := file.NewParquetWriter(f, root, file.WithWriterProps(parquet.NewWriterProperties(opts...)))
	g, err := w.AppendRowGroupChecked()
	must(err)
	col, err := g.NextColumn()
	must(err)
	must(write(col))
	must(col.Close())
	must(w.Close())
}

// TestUnknownLogicalType: what nobody knows yet is read as it is stored.
func TestUnknownLogicalType(t *testing.T) {
	for name, edit := range map[string]func(footer []byte) []byte{
		"unknown": func(footer []byte) []byte {
			return bytes.Replace(footer, []byte{0x6c, 0xdc, 0, 0}, []byte{0x6c, 0x0c, 19 << 1, 0, 0}, 1)
		},
		"none": func(footer []byte) []byte { return bytes.Replace(footer, []byte{0x6c, 0xdc, 0, 0}, []byte{0x6c, 0}, 1) },
		"long head": func(footer []byte) []byte {
			return bytes.Replace(footer, []byte{0x6c, 0xdc, 0, 0}, []byte{0x0c, 10 << 1, 0}, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.parquet")
			column := required("v", format.Type_BYTE_ARRAY)
			column.LogicalType = &format.LogicalType{BSON: format.NewBsonType()}
			body := append(binary.LittleEndian.AppendUint32(nil, 4), "text"...)
			made := madeFile{column, format.CompressionCodec_UNCOMPRESSED, 1, []madePage{plainPage(1, len(body), body)}, edit}
			made.write(t, path)
			if types, rows := readAll(t, path); types != "v:text" || strings.Join(rows, ",") != `0 "text"` {
				t.Errorf("got %s, %q", types, rows)
			}
		})
	}
}
