package extract

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"
)

// TestUnlikeFiles reads files of one set that hold the same columns as different
// types, some of them without rows or without a column.
func TestUnlikeFiles(t *testing.T) {
	e := newArchive(t)
	instant := func(unit arrow.TimeUnit) arrow.DataType { return &arrow.TimestampType{Unit: unit, TimeZone: "UTC"} }
	for i, f := range []struct {
		id, at arrow.DataType
		row    string
	}{
		{text, text, `"1", "sent_at": "2024-03-01T10:00:00Z"`},
		{arrow.PrimitiveTypes.Int32, instant(arrow.Millisecond), `1, "sent_at": "2024-03-01T10:00:00Z"`},
		{arrow.PrimitiveTypes.Int64, instant(arrow.Microsecond), `1, "sent_at": "2024-03-01T10:00:00Z"`},
		{arrow.PrimitiveTypes.Uint64, instant(arrow.Nanosecond), `1, "sent_at": "2024-03-01T10:00:00Z"`},
		{arrow.BinaryTypes.Binary, arrow.PrimitiveTypes.Int64, `"MQ==", "sent_at": 1709287200000`},
		{arrow.PrimitiveTypes.Float64, arrow.PrimitiveTypes.Float64, `1, "sent_at": 1709287200`},
		{&arrow.Decimal128Type{Precision: 10, Scale: 2}, arrow.PrimitiveTypes.Int32, `"1.00", "sent_at": 1709287200`},
		{text, text, ""},
	} {
		fields := []arrow.Field{column("conversation_id", f.id), column("sent_at", f.at), column("role", text)}
		rows := fmt.Sprintf(`[{"conversation_id": %s, "role": "customer"}]`, f.row)
		if f.row == "" {
			rows = "[]"
		}
		if i%2 == 0 {
			fields = append(fields, column("body", text))
		}
		writeParquet(t, filepath.Join(e.cfg.Dir, fmt.Sprintf("m%d.parquet", i)), fields, rows, 1)
	}
	var want []string
	for range 7 {
		want = append(want, "2024-03-01T10:00:00Z")
	}
	all := transcripts(t, mustOpen(t, e.cfg), "")
	if len(all) != 1 || all[0].ConversationID != "1" || len(all[0].Rejects) > 0 {
		t.Fatalf("got %+v", all)
	}
	var got []string
	for _, m := range all[0].Messages {
		got = append(got, m.SentAt.String())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestOddColumns maps columns by whatever names they have, among ten thousand.
func TestOddColumns(t *testing.T) {
	e := newArchive(t)
	names := []string{"Chat ID", "sent.at", "Rôle", `the "text"`, "select"}
	fields := make([]arrow.Field, 0, 10_000)
	for _, name := range names {
		fields = append(fields, column(name, text))
	}
	for i := len(fields); i < cap(fields); i++ {
		fields = append(fields, column(fmt.Sprint("c", i), arrow.FixedWidthTypes.Boolean))
	}
	writeParquet(t, filepath.Join(e.cfg.Dir, "m.parquet"), fields,
		`[{"Chat ID": "a", "sent.at": "2024-03-01", "Rôle": "customer", "the \"text\"": "hello", "select": "m"}]`, 1)
	e.cfg.Messages[0].Fields = map[string]Field{
		"conversation_id": {Column: names[0]}, "sent_at": {Column: names[1]}, "role": {Column: names[2]}, "body": {Column: names[3]}, "message_id": {Column: names[4]},
	}
	all := transcripts(t, mustOpen(t, e.cfg), "")
	if len(all) != 1 || len(all[0].Messages) != 1 || all[0].Messages[0].Body != "hello" || all[0].Messages[0].MessageID != "m" {
		t.Fatalf("got %+v", all)
	}
	e.cfg.Messages[0].Fields["role"] = Field{Column: strings.ToLower(names[0])}
	_, err := OpenParquet(context.Background(), e.cfg)
	var mistake *MappingError
	if !errors.As(err, &mistake) || !strings.HasPrefix(mistake.Try, "did you mean Chat ID? ") {
		t.Errorf("got %v", err)
	}
}
