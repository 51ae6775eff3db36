package extract

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
)

// fuzzRows bounds the rows of files that the fuzz target reads: a page of a few
// bytes may hold any number of NULLs.
const fuzzRows = 10_000

// FuzzParquet holds for any bytes: they are read, as rows that add up, or there
// is an error; it takes neither a panic nor much memory.
func FuzzParquet(f *testing.F) {
	dir := f.TempDir()
	fields := append([]arrow.Field{column("history", nested(column("at", text), column("n", arrow.PrimitiveTypes.Int64), column("l", arrow.ListOf(text))))}, plainFields...)
	const rows = `[
		{"conversation_id": "a", "message_id": "1", "sent_at": "2024-03-01", "role": "customer", "history": [{"at": "2024-03-01", "n": 1, "l": ["x", null]}, {"l": []}]},
		{"conversation_id": "b", "message_id": "2", "sent_at": "2024-03-01", "role": "agent", "history": []},
		{"conversation_id": null, "message_id": "3", "sent_at": "never", "role": "customer", "history": null}]`
	for _, opts := range [][]parquet.WriterProperty{
		nil,
		{parquet.WithDictionaryDefault(false), parquet.WithDataPageVersion(parquet.DataPageV2)},
		{parquet.WithCompression(compress.Codecs.Snappy), parquet.WithPageIndexEnabled(true)},
		{parquet.WithCompression(compress.Codecs.Zstd), parquet.WithEncodingFor("body", parquet.Encodings.DeltaByteArray), parquet.WithDictionaryFor("body", false)},
	} {
		path := filepath.Join(dir, "seed.parquet")
		writeParquet(failNow{f}, path, fields, rows, 2, opts...)
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "m.parquet"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, list := range []string{"", "history"} {
			readAnything(t, dir, list)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<30 {
			t.Errorf("reading %d bytes took %d MiB", len(data), used>>20)
		}
	})
}

func readAnything(t *testing.T, dir, list string) {
	cfg := testConfig(dir, "m.parquet")
	cfg.Memory = 1 << 20
	cfg.Messages[0].Nested = list
	cfg.Extra = []ExtraField{{"list", Field{Column: "history", Optional: true}}}
	if list != "" {
		cfg.Messages[0].Fields = map[string]Field{"conversation_id": {Column: "row.conversation_id"}, "sent_at": {Column: "at"}, "role": {Value: ptr("customer")}}
		cfg.Extra = []ExtraField{{"l", Field{Column: "l[0]", Optional: true}}}
	}
	p, err := OpenParquet(context.Background(), cfg)
	if err != nil || p.RowCount() > fuzzRows {
		return
	}
	all, err := tryTranscripts(p, "")
	if err != nil {
		return
	}
	rows := int64(0)
	for i := range all {
		rows += int64(all[i].Rows())
	}
	if list == "" && rows != p.RowCount() {
		t.Errorf("got %d of %d rows", rows, p.RowCount())
	}
}

// failNow lets a fuzz test use what tests use.
type failNow struct{ *testing.F }
