package extract

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	format "github.com/xitongsys/parquet-go/parquet"
)

// pageCompressors compress pages as writers do.
var pageCompressors = map[format.CompressionCodec]func(t *testing.T, body []byte) []byte{
	format.CompressionCodec_SNAPPY: func(_ *testing.T, body []byte) []byte { return snappy.Encode(nil, body) },
	format.CompressionCodec_GZIP: func(t *testing.T, body []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		return closed(t, w, &out, body)
	},
	format.CompressionCodec_BROTLI: func(t *testing.T, body []byte) []byte {
		var out bytes.Buffer
		return closed(t, brotli.NewWriter(&out), &out, body)
	},
	format.CompressionCodec_ZSTD: func(t *testing.T, body []byte) []byte {
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return w.EncodeAll(body, nil)
	},
	format.CompressionCodec_LZ4_RAW: lz4Block,
	format.CompressionCodec_LZ4:     lz4Block,
}

func closed(t *testing.T, w interface {
	Write([]byte) (int, error)
	Close() error
}, out *bytes.Buffer, body []byte) []byte {
	t.Helper()
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func lz4Block(t *testing.T, body []byte) []byte {
	t.Helper()
	out := make([]byte, lz4.CompressBlockBound(len(body)))
	n, err := lz4.CompressBlock(body, out, nil)
	if err != nil || n == 0 {
		t.Fatalf("compress: %d, %v", n, err)
	}
	return out[:n]
}

// hadoopLZ4 frames the halves of a page, as Hadoop does.
func hadoopLZ4(t *testing.T, body []byte) (out []byte) {
	for _, half := range [][]byte{body[:len(body)/2], body[len(body)/2:]} {
		packed := lz4Block(t, half)
		out = binary.BigEndian.AppendUint32(out, uint32(len(half)))
		out = binary.BigEndian.AppendUint32(out, uint32(len(packed)))
		out = append(out, packed...)
	}
	return out
}

// TestDecompression reads 200 numbers of every codec.
func TestDecompression(t *testing.T) {
	var body []byte
	var want []string
	for i := range 200 {
		body = binary.LittleEndian.AppendUint64(body, uint64(i/10))
		want = append(want, fmt.Sprintf("%d %d", i, i/10))
	}
	check := func(name string, codec format.CompressionCodec, packed []byte) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.parquet")
			made := madeFile{required("n", format.Type_INT64), codec, 200, []madePage{plainPage(200, len(body), packed)}, nil}
			made.write(t, path)
			if _, got := readAll(t, path); !cmp.Equal(want, got) {
				t.Error(cmp.Diff(want, got))
			}
		})
	}
	check("none", format.CompressionCodec_UNCOMPRESSED, body)
	for codec, compress := range pageCompressors {
		check(codec.String(), codec, compress(t, body))
	}
	check("LZ4 of Hadoop", format.CompressionCodec_LZ4, hadoopLZ4(t, body))
}

// TestBombs reads pages that are larger than they announce: they end in an error
// that names the file, and take next to no memory.
func TestBombs(t *testing.T) {
	const announced, real = 1000, 64 << 20
	zeros := make([]byte, real)
	check := func(name string, codec format.CompressionCodec, announced int, body []byte) {
		t.Run(fmt.Sprintf("%s %s %d", codec, name, announced), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bomb.parquet")
			made := madeFile{required("s", format.Type_BYTE_ARRAY), codec, 1, []madePage{plainPage(1, announced, body)}, nil}
			made.write(t, path)
			checkSmallError(t, path)
		})
	}
	for codec, compress := range pageCompressors {
		bomb := compress(t, zeros)
		check("page", codec, announced, bomb)
		check("page", codec, 0, bomb)
	}
	huge := binary.AppendUvarint(nil, 4<<30-1) // what Snappy says its size is
	check("size", format.CompressionCodec_SNAPPY, announced, append(huge, 0))
	frame := binary.BigEndian.AppendUint32(nil, 1<<32-1)
	check("frame", format.CompressionCodec_LZ4, announced, append(binary.BigEndian.AppendUint32(frame, 4), 0, 0, 0, 0))
}

// TestEmptyPage: of a page without values some writers leave out what no bytes
// are compressed to.
func TestEmptyPage(t *testing.T) {
	for codec := range pageCompressors {
		t.Run(codec.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.parquet")
			column := required("n", format.Type_FLOAT)
			column.RepetitionType = format.FieldRepetitionTypePtr(format.FieldRepetitionType_OPTIONAL)
			levels := []byte{3 << 1, 0} // three times level 0
			made := madeFile{column, codec, 3, []madePage{{&format.PageHeader{
				Type: format.PageType_DATA_PAGE_V2, UncompressedPageSize: int32(len(levels)), CompressedPageSize: int32(len(levels)),
				DataPageHeaderV2: &format.DataPageHeaderV2{
					NumValues: 3, NumNulls: 3, NumRows: 3, Encoding: format.Encoding_PLAIN, DefinitionLevelsByteLength: int32(len(levels)), IsCompressed: true,
				},
			}, levels}}, nil}
			made.write(t, path)
			if _, got := readAll(t, path); !cmp.Equal([]string{"0 null", "1 null", "2 null"}, got) {
				t.Errorf("got %q", got)
			}
		})
	}
}
