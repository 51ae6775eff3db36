package extract

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var prunedFields = append([]arrow.Field{
	column("n", arrow.PrimitiveTypes.Int64), column("small", arrow.PrimitiveTypes.Int32), column("u", arrow.PrimitiveTypes.Uint64),
	column("s", text), column("f", arrow.PrimitiveTypes.Float64), column("flag", arrow.FixedWidthTypes.Boolean),
	column("at", arrow.FixedWidthTypes.Timestamp_us), column("day", arrow.FixedWidthTypes.Date32),
}, plainFields...)

// prunedWheres are judged by statistics in part, as a whole, or not at all.
var prunedWheres = []string{
	"n == 3", "n != 3", "n in [1, 4]", "n not in [2, 3]", "n < 2", "n >= 4", "n > 2.5", "n <= -1", "n == nil", "n != nil", "n in [nil, 2]",
	"n not in [nil, 2]", "small == 2", "3 < small", "u > 3", "u == 2", `s == "b"`, `s != "b"`, `s > "a"`, `s < "aa"`, `s in ["", "c"]`, `s == nil`,
	"f < 1", "f == 2", "f != 2.5", "f in [0.5, 3]", "f > n", "flag", "not flag", "flag == nil", `at < date("2024-03-02")`, `at >= date("2024-03-03T00:00:00Z")`,
	`day == date("2024-03-02")`, `day > date("2024-03-02")`, `n == 2 and s == "b"`, `n > 1 and f > 1 or flag`, `n > 1 and len(s) > 1`,
	`inbox == "x" and n > 0`, `inbox == "y"`, `inbox != "x"`, "s == \"b\" and n < 3",
}

// TestPruning holds for any rows and conditions: leaving row groups out by their
// statistics changes no transcript, and as many rows are filtered.
func TestPruning(t *testing.T) {
	base := t.TempDir()
	runs, pruned := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := filepath.Join(base, fmt.Sprint(runs))
		defer os.RemoveAll(dir)
		low := rapid.IntRange(0, 3).Draw(t, "low")
		width := rapid.IntRange(0, 2).Draw(t, "width")
		var rows []map[string]any
		for i := range rapid.IntRange(1, 40).Draw(t, "rows") {
			value := func() int { return low + i/8 + rapid.IntRange(0, width).Draw(t, "value") }
			row := map[string]any{
				"conversation_id": fmt.Sprint("c", rapid.IntRange(0, 9).Draw(t, "conversation")), "message_id": fmt.Sprint(i),
				"sent_at": "2024-03-01", "role": "customer",
				"n": value(), "small": value(), "u": value(), "s": string(rune('a' + value()%5)), "f": float64(value()) / 2, "flag": value()%2 == 0,
				"at":  fmt.Sprintf("2024-03-%02dT10:00:00Z", 1+value()),
				"day": fmt.Sprintf("2024-03-%02d", 1+value()),
			}
			for _, name := range []string{"n", "small", "u", "s", "f", "flag", "at", "day"} {
				if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
					row[name] = nil
				}
			}
			rows = append(rows, row)
		}
		data, err := json.Marshal(rows)
		if err != nil {
			t.Fatalf("encode rows: %v", err)
		}
		stats := rapid.IntRange(0, 9).Draw(t, "statistics") > 0
		writeParquet(t, filepath.Join(dir, "inbox=x", "m.parquet"), prunedFields, string(data), rapid.Int64Range(1, 10).Draw(t, "group"), parquet.WithStats(stats))
		cfg := testConfig(dir, ".")
		cfg.Messages[0].Where = rapid.SampledFrom(prunedWheres).Draw(t, "where")
		p := mustOpen(t, cfg)
		got, gotFiltered := keptOf(transcripts(t, p, ""))
		p.unpruned = true
		all := transcripts(t, p, "")
		want, wantFiltered := keptOf(all)
		if d := cmp.Diff(want, got); d != "" || gotFiltered != wantFiltered {
			t.Fatalf("%d rows filtered, want %d; transcripts (-unpruned +pruned)\n%s", gotFiltered, wantFiltered, d)
		}
		if len(all) > 0 && all[0].ConversationID != "" && gotFiltered > 0 {
			pruned++
		}
	})
	if pruned == 0 {
		t.Error("no row group was ever left out")
	}
}

// keptOf returns the transcripts' rows, without those that where left out, which
// it counts.
func keptOf(all []Transcript) (kept []rendered, filtered int) {
	for _, tr := range all {
		filtered += tr.Filtered
		if lines := render(tr); len(lines) > 0 {
			kept = append(kept, rendered{tr.ConversationID, lines})
		}
	}
	return kept, filtered
}

// TestPruningReadsNothing: what statistics rule out is not looked at.
func TestPruningReadsNothing(t *testing.T) {
	e := newArchive(t)
	e.write("m1", "a 2024-03-01", "b 2024-03-02")
	e.cfg.Messages[0].Where = `conversation_id == "c"`
	e.left = "m1"
	e.want(Pass{}, map[string]string{"": "filtered filtered"})
	e.want(Pass{Shard: Shard{1, 2}}, map[string]string{})
	e.want(Pass{Known: []File{{Path: "other"}}}, map[string]string{"": "filtered filtered"})
}

// TestPruningTimes: row groups of other times are not looked at, those of
// conversations that are looked at are.
func TestPruningTimes(t *testing.T) {
	dir := t.TempDir()
	fields := append([]arrow.Field{column("time", arrow.PrimitiveTypes.Int64)}, plainFields...)
	day := func(n int) int64 { return time.Date(2024, 3, n, 0, 0, 0, 0, time.UTC).Unix() }
	rows := fmt.Sprintf(`[
		{"conversation_id": "a", "message_id": "1", "time": %d, "role": "customer"}, {"conversation_id": "b", "message_id": "2", "time": %d, "role": "customer"},
		{"conversation_id": "a", "message_id": "3", "time": %d, "role": "customer"}, {"conversation_id": "c", "message_id": "4", "time": null, "role": "customer"}]`,
		day(1), day(2), day(20))
	writeParquet(t, filepath.Join(dir, "m.parquet"), fields, rows, 1)
	cfg := testConfig(dir, "m.parquet")
	cfg.Messages[0].Fields = map[string]Field{"sent_at": {Column: "time", Unit: "s"}}
	p := mustOpen(t, cfg)
	f := p.messages[0]
	open, err := f.openReader(t.Context(), p.maxPage)
	if err != nil {
		t.Fatal(err)
	}
	defer open.file.Close()
	pass := Pass{From: Time(day(10)) * 1e9, Until: Time(day(22)) * 1e9}
	var other []bool
	for group := range f.groups {
		other = append(other, open.isAtOtherTimes(group, &pass))
	}
	if d := cmp.Diff([]bool{true, true, false, false}, other); d != "" {
		t.Errorf("row groups at other times: %s", d)
	}
	got, err := readPass(p.Pass(pass), "")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a 1 2024-03-01", "a 3 2024-03-20", "c reject bad_timestamp 4"}
	var lines []string
	for _, tr := range got {
		for _, line := range render(tr) {
			lines = append(lines, tr.ConversationID+" "+line)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("read %q", lines)
	}
}

// TestBounds: what is not certain is not relied on.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	fields := []arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64}, column("null", text), column("u", arrow.PrimitiveTypes.Uint64), {Name: "f", Type: arrow.PrimitiveTypes.Float64},
		column("list", arrow.ListOf(arrow.PrimitiveTypes.Int64)), {Name: "s", Type: text},
	}
	rows := `[{"n": 3, "null": null, "u": 18446744073709551615, "f": 0.5, "list": [1], "s": "b"}, {"n": -7, "null": null, "u": 1, "f": 2, "list": [], "s": "a"}]`
	writeParquet(t, filepath.Join(dir, "f.parquet"), fields, rows, 2)
	files, errs := resolveFiles(t.Context(), dir, []string{"f.parquet"}, nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	f := &parquetFile{sourceFile: files[0]}
	open, err := f.openReader(t.Context(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer open.file.Close()
	meta := open.rdr.MetaData()
	of := func(leaf int) string {
		b, ok := boundsOf(meta, 0, leaf)
		if !ok {
			return "unknown"
		}
		return fmt.Sprint(shown(b.least), " to ", shown(b.most), ", nulls ", b.nulls)
	}
	for leaf, want := range []string{"-7 to 3, nulls false", "null to null, nulls true", "unknown", "0.5 to 2, nulls false", "unknown", `"a" to "b", nulls false`} {
		if got := of(leaf); got != want {
			t.Errorf("column %d: %s, want %s", leaf, got, want)
		}
	}
	stats := meta.RowGroups[0].Columns[5].MetaData.Statistics
	no := false
	stats.IsMaxValueExact = &no
	truncated := of(5)
	stats.IsMaxValueExact, stats.MaxValue = nil, nil
	half := of(5)
	double := meta.RowGroups[0].Columns[3].MetaData.Statistics
	double.MaxValue = []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x7f} // NaN
	if of(3) != "unknown" || truncated != "unknown" || half != "unknown" {
		t.Errorf("NaN %s, truncated %s, without a maximum %s", of(3), truncated, half)
	}
	whole := meta.RowGroups[0].Columns[0].MetaData.Statistics
	whole.MinValue = []byte{1}
	if got := of(0); got != "unknown" {
		t.Errorf("a bound of a wrong size: %s", got)
	}
	meta.RowGroups[0].Columns[0].MetaData.Statistics = nil
	if got := of(0); got != "unknown" {
		t.Errorf("without statistics: %s", got)
	}
}
