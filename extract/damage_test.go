package extract

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// damaged writes a small file with several row groups and pages.
func damaged(t *testing.T, dir string, opts ...parquet.WriterProperty) (path string, data []byte, rows int) {
	t.Helper()
	var all []genRow
	for i := range 60 {
		id := fmt.Sprint("c", i%9)
		all = append(all, genRow{&id, fmt.Sprint(i), "2024-03-01", "customer", "message", "u", strings.Repeat("words ", i)})
	}
	encoded, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "m.parquet")
	writeParquet(t, path, plainFields, string(encoded), 25, opts...)
	data, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, data, len(all)
}

// readRows opens and reads a file; it must not panic.
func readRows(dir string) (rows int, out []rendered, err error) {
	cfg := testConfig(dir, "m.parquet")
	p, err := OpenParquet(context.Background(), cfg)
	if err != nil {
		return 0, nil, err
	}
	all, err := tryTranscripts(p, "")
	for i := range all {
		rows += all[i].Rows()
	}
	return rows, renderAll(all), err
}

func TestTruncatedFile(t *testing.T) {
	dir := t.TempDir()
	path, data, _ := damaged(t, dir)
	for size := 0; size < len(data); size += 1 + len(data)/80 {
		if err := os.WriteFile(path, data[:size], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readRows(dir); err == nil || !strings.Contains(err.Error(), "m.parquet") {
			t.Fatalf("cut to %d of %d bytes: got error %v", size, len(data), err)
		}
	}
}

// TestTruncatedInside cuts bytes out before the footer, which stays whole.
func TestTruncatedInside(t *testing.T) {
	dir := t.TempDir()
	path, data, rows := damaged(t, dir)
	for i := range 40 {
		at := 4 + i*(len(data)-3000)/40
		short := append(bytes.Clone(data[:at]), data[at+17:]...)
		if err := os.WriteFile(path, short, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, _, err := readRows(dir); err == nil && got != rows {
			t.Fatalf("cut at %d: got %d of %d rows and no error", at, got, rows)
		}
	}
}

// TestFlippedBits checks that damage is an error or leaves as many rows.
func TestFlippedBits(t *testing.T) {
	for name, props := range map[string][]parquet.WriterProperty{
		"snappy": {parquet.WithCompression(compress.Codecs.Snappy)},
		"plain":  {parquet.WithDictionaryDefault(false)},
		"v2":     {parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithCompression(compress.Codecs.Zstd)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path, data, rows := damaged(t, dir, props...)
			random := rand.New(rand.NewPCG(1, 2))
			for range 120 {
				at, bit := random.IntN(len(data)), random.IntN(8)
				broken := bytes.Clone(data)
				broken[at] ^= 1 << bit
				if err := os.WriteFile(path, broken, 0o644); err != nil {
					t.Fatal(err)
				}
				if got, _, err := readRows(dir); err == nil && got != rows {
					t.Fatalf("bit %d of byte %d: got %d of %d rows and no error", bit, at, got, rows)
				}
			}
		})
	}
}

// TestChecksum makes its own page, for arrow-go writes none with a checksum.
func TestChecksum(t *testing.T) {
	body := []byte("the bytes of a page")
	header := func(crc uint32) []byte {
		zigzag := func(n int32) (out []byte) {
			for u := uint32(n<<1) ^ uint32(n>>31); ; u >>= 7 {
				if u < 0x80 {
					return append(out, byte(u))
				}
				out = append(out, byte(u)|0x80)
			}
		}
		b := []byte{0x15, 0} // type: data
		b = append(append(b, 0x15), zigzag(int32(len(body)))...)
		b = append(append(b, 0x15), zigzag(int32(len(body)))...)
		b = append(append(b, 0x15), zigzag(int32(crc))...)
		return append(b, 0x1c, 0x15, 6, 0x19, 0x28, 1, 'x', 1, 'y', 0, 0) // 3 values, a list to skip
	}
	for _, c := range []struct {
		name   string
		crc    uint32
		values int64
		want   string
	}{
		{"OK", 0xa240555, 3, ""},
		{"Err checksum", 5, 3, "check the page at byte 4: its checksum is wrong: the file is damaged"},
		{"Err values", 0xa240555, 2, "check the page at byte 4: it has more values than its column"},
		{"Err fewer values", 0xa240555, 4, "read the page header at byte"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := append(append([]byte(magic), header(c.crc)...), body...)
			err := checkPages(bytes.NewReader(file), chunk{start: 4, end: int64(len(file)), values: c.values, maxPage: 100})
			if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestZstdBomb(t *testing.T) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := encoder.EncodeAll(make([]byte, 64<<20), nil)
	codec, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil {
		t.Fatal(err)
	}
	page := make([]byte, 1000, 4000)
	if _, err := compress.Decode(codec, page, bomb); err == nil {
		t.Error("more is decoded than fits")
	}
	got, err := compress.Decode(codec, page, codec.Encode(nil, []byte("fits")))
	if d := cmp.Diff("fits", string(got)); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

func FuzzPageHeader(f *testing.F) {
	f.Add([]byte{0x15, 0, 0x15, 2, 0x15, 2, 0x2c, 0x15, 2, 0, 0})
	f.Add([]byte{0x19, 0xfc, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		if h, size, err := readPageHeader(bytes.NewReader(data), 0, int64(len(data))); err == nil && size > int64(len(data)) {
			t.Errorf("header %+v of %d bytes in %d", h, size, len(data))
		}
		if time.Since(start) > time.Minute {
			t.Error("it takes too long")
		}
	})
}

// TestDeepSchema has a footer whose columns are nested so deep that going down
// into them would take more stack than there is.
func TestDeepSchema(t *testing.T) {
	for depth, want := range map[int]string{
		300:       "its columns are nested more than 200 deep",
		3_000_000: "its columns are nested more than 200 deep",
	} {
		footer := []byte{0x15, 2, 0x19, 0xfc} // version, schema: a list of structs
		footer = binary.AppendUvarint(footer, uint64(depth)+1)
		for range depth {
			footer = append(footer, 0x35, 2, 0x18, 1, 'g', 0x15, 2, 0) // optional, name, one child
		}
		footer = append(footer, 0x15, 12, 0x25, 2, 0x18, 1, 'x', 0, 0x16, 0, 0x19, 0x0c, 0)
		data := binary.LittleEndian.AppendUint32(append([]byte("PAR1"), footer...), uint32(len(footer)))
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "m.parquet"), append(data, "PAR1"...), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readRows(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: got %v", depth, err)
		}
	}
}

// TestHugeCounts has footers that announce more than there is: lists and texts
// of billions, and itself.
func TestHugeCounts(t *testing.T) {
	const most = 1<<31 - 1
	list := func(field, typ byte) []byte { return binary.AppendUvarint([]byte{field<<4 | 9, 0xf0 | typ}, most) }
	version := []byte{0x15, 2}
	schema := []byte{0x19, 0x2c, 0x48, 1, 's', 0x15, 2, 0, 0x15, 4, 0x25, 0, 0x18, 1, 'v', 0} // one required INT64
	rows := []byte{0x16, 2}
	group := append(append([]byte(nil), 0x19, 0x1c), list(1, 12)...)
	for name, footer := range map[string][]byte{
		"schema":     slices.Concat(version, list(1, 12)),
		"row groups": slices.Concat(version, schema, rows, list(1, 12)),
		"columns":    slices.Concat(version, schema, rows, group),
		"metadata":   slices.Concat(version, schema, rows, []byte{0x19, 0x0c}, list(1, 12)),
		"creator":    slices.Concat(version, schema, rows, []byte{0x19, 0x0c}, binary.AppendUvarint([]byte{0x28}, most)),
		"orders":     slices.Concat(version, schema, rows, []byte{0x19, 0x0c}, list(3, 12)),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.parquet")
			writeFooter(t, path, []byte(magic), footer)
			checkSmallError(t, path)
		})
	}
	for _, size := range []uint32{1<<32 - 1, 1 << 31, 1000, 9} {
		t.Run(fmt.Sprint("footer of ", size), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.parquet")
			data := binary.LittleEndian.AppendUint32([]byte(magic+"        "), size)
			if err := os.WriteFile(path, append(data, magic...), 0o600); err != nil {
				t.Fatal(err)
			}
			checkSmallError(t, path)
		})
	}
}

// checkSmallError checks that reading a file ends in an error that names it, and
// takes next to no memory.
func checkSmallError(t *testing.T, path string) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := tryReadAll(path)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "read "+filepath.Base(path)+": ") {
		t.Errorf("got error %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
		t.Errorf("it took %d bytes", took)
	}
}
