package extract

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// benchRows are interleaved, as in a real export: ten messages of each of a
// tenth as many conversations, ordered by time.
const benchRows = 500_000

func writeBench(b *testing.B, path string) {
	b.Helper()
	at := &arrow.TimestampType{Unit: arrow.Microsecond}
	schema := arrow.NewSchema([]arrow.Field{
		column("conversation_id", text), column("message_id", text), column("created_at", at), column("author_type", text),
		column("author_id", text), column("author_name", text), column("author_username", text),
		column("user_id", text), column("kind", text), column("body", text),
	}, nil)
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy)), pqarrow.DefaultWriterProps())
	if err != nil {
		b.Fatal(err)
	}
	const groupRows = 100_000
	for first := 0; first < benchRows; first += groupRows {
		builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for i := first; i < first+groupRows; i++ {
			benchRow(builder, i)
		}
		if err := w.Write(builder.NewRecordBatch()); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

func benchRow(r *array.RecordBuilder, i int) {
	conversation, turn := i%(benchRows/10), i/(benchRows/10)
	str := func(col int, s string) { r.Field(col).(*array.StringBuilder).Append(s) }
	str(0, fmt.Sprintf("conv_%09d", conversation))
	str(1, fmt.Sprintf("%032x", uint64(i)*0x9e3779b97f4a7c15))
	r.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(1_700_000_000_000_000 + int64(i)*1e6))
	user := fmt.Sprint("user_", conversation%8000)
	if (conversation+turn)%2 == 0 {
		str(3, "customer")
		str(4, user)
		str(5, fmt.Sprint("Customer ", conversation%8000))
		r.Field(6).AppendNull()
	} else {
		str(3, "agent")
		str(4, fmt.Sprint("agent_", conversation%500))
		str(5, fmt.Sprint("Agent ", conversation%500))
		str(6, fmt.Sprint("agent.", conversation%500))
	}
	str(7, user)
	str(8, "message")
	str(9, strings.Repeat("lorem ipsum dolor sit amet ", 1+i%6)+fmt.Sprint(turn))
}

// BenchmarkParquet reads, maps and groups everything, in memory and beyond it.
func BenchmarkParquet(b *testing.B) {
	dir := b.TempDir()
	writeBench(b, filepath.Join(dir, "messages.parquet"))
	for _, memory := range []int64{1 << 30, 64 << 20} {
		b.Run(fmt.Sprintf("%dMB", memory>>20), func(b *testing.B) {
			cfg := ParquetConfig{Dir: dir, Memory: memory, Tmp: dir, Messages: []Set{{Files: []string{"messages.parquet"}, Fields: map[string]Field{
				"sent_at": {Column: "created_at"}, "role": {Column: "author_type"}, "user_id": {},
			}}}}
			for b.Loop() {
				if rows := countRows(b, cfg); rows != benchRows {
					b.Fatalf("got %d rows", rows)
				}
			}
			b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func countRows(b *testing.B, cfg ParquetConfig) (rows int) {
	ctx := context.Background()
	p, err := OpenParquet(ctx, cfg)
	if err != nil {
		b.Fatal(err)
	}
	r, err := p.Transcripts(ctx, "")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for {
		page, err := r.Next(ctx)
		if err == io.EOF {
			return rows
		}
		if err != nil {
			b.Fatal(err)
		}
		for i := range page.Transcripts {
			rows += page.Transcripts[i].Rows()
		}
	}
}

// BenchmarkNested reads chats with twenty messages each, as structs in a list
// and as a JSON text.
func BenchmarkNested(b *testing.B) {
	const chats, each = 5000, 20
	dir := b.TempDir()
	fields := []arrow.Field{column("id", text), column("text", text), column("history", arrow.ListOf(arrow.StructOf(
		column("msg_id", text), column("timestamp", text), column("nick", text), column("name", text), column("msg", text), column("channel", text))))}
	var rows []string
	for i := range chats {
		var history []string
		for j := range each {
			history = append(history, fmt.Sprintf(`{"msg_id": "%d-%d", "timestamp": "2024-03-01T10:%02d:00Z", "nick": "visitor", "name": "Visitor %d", "msg": "%s", "channel": "#x"}`,
				i, j, j, i, strings.Repeat("lorem ipsum dolor sit amet ", 1+j%6)))
		}
		list := "[" + strings.Join(history, ",") + "]"
		rows = append(rows, fmt.Sprintf(`[{"id": "%d", "history": %s, "text": %q}]`, i, list, list))
	}
	writeParquetParts(b, filepath.Join(dir, "chats.parquet"), fields, rows, 1000)
	for _, list := range []string{"history", "text"} {
		b.Run(list, func(b *testing.B) {
			cfg := ParquetConfig{Dir: dir, Tmp: dir, Messages: []Set{{Files: []string{"chats.parquet"}, Nested: list, Fields: map[string]Field{
				"conversation_id": {Column: "row.id"}, "message_id": {Column: "msg_id"}, "sent_at": {Column: "timestamp"}, "body": {Column: "msg"},
				"author_name": {Column: "name"}, "role": {Expr: `nick == "visitor" ? "customer" : "agent"`},
			}}}}
			for b.Loop() {
				if rows := countRows(b, cfg); rows != chats*each {
					b.Fatalf("got %d rows", rows)
				}
			}
			b.ReportMetric(float64(chats*each)*float64(b.N)/b.Elapsed().Seconds(), "elements/s")
		})
	}
}
