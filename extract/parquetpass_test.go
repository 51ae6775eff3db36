package extract

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestPass holds for any rows in any files of which any were read before: a pass
// yields the conversations in the others and those that are due, whole and in
// order, whatever the memory, the shard, and where it goes on.
func TestPass(t *testing.T) {
	base := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := filepath.Join(base, fmt.Sprint(runs))
		defer os.RemoveAll(dir)
		files := rapid.SliceOfN(rapid.SliceOfN(genRowValues, 1, 40), 1, 5).Draw(t, "files")
		for i, rows := range files {
			data, err := json.Marshal(rows)
			if err != nil {
				t.Fatalf("encode rows: %v", err)
			}
			writeParquet(t, filepath.Join(dir, fmt.Sprintf("m%d.parquet", i)), plainFields, string(data), 1+int64(len(rows))/2)
		}
		cfg := testConfig(dir, "*.parquet")
		cfg.Memory = rapid.SampledFrom([]int64{4 << 10, 256 << 20}).Draw(t, "memory")
		p := mustOpen(t, cfg)
		p.single = 1 << 30

		pass := Pass{Shard: Shard{Of: rapid.IntRange(0, 3).Draw(t, "shards")}}
		touched := map[string]bool{}
		var all []genRow
		for i, f := range p.Files() {
			all = append(all, files[i]...)
			if rapid.Bool().Draw(t, "known") {
				f.Version += rapid.SampledFrom([]string{"", "", "older"}).Draw(t, "version")
				pass.Known = append(pass.Known, f)
				if f.Is(&p.Files()[i]) {
					continue
				}
			}
			for _, row := range files[i] {
				id, _ := row.expect()
				touched[id] = true
			}
		}
		pass.Due = rapid.SliceOf(rapid.SampledFrom([]string{"conv-1", "conv-2", "nobody"})).Draw(t, "due")
		for _, id := range pass.Due {
			touched[id] = true
		}
		want := slices.DeleteFunc(expectAll(all), func(r rendered) bool {
			return len(pass.Known) > 0 && cfg.Memory > 4<<10 && !touched[r.ID] || !pass.Shard.Has(r.ID)
		})
		got, err := readPass(p.Pass(pass), "")
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if cfg.Memory == 4<<10 { // more may be looked at if not all ids can be remembered
			got = slices.DeleteFunc(got, func(tr Transcript) bool { return len(pass.Known) > 0 && !touched[tr.ConversationID] })
			want = slices.DeleteFunc(want, func(r rendered) bool { return len(pass.Known) > 0 && !touched[r.ID] })
		}
		if d := cmp.Diff(want, renderAll(got), cmpEmpty); d != "" {
			t.Fatalf("transcripts differ: %s", d)
		}
		if len(want) == 0 {
			return
		}
		i := rapid.IntRange(0, len(want)-1).Draw(t, "resume after")
		resumed, err := readPass(p.Pass(pass), p.After(want[i].ID))
		if err != nil {
			t.Fatalf("read on: %v", err)
		}
		resumed = slices.DeleteFunc(resumed, func(tr Transcript) bool { return len(pass.Known) > 0 && !touched[tr.ConversationID] })
		if d := cmp.Diff(want[i+1:], renderAll(resumed), cmpEmpty); d != "" {
			t.Fatalf("transcripts after %q differ: %s", want[i].ID, d)
		}
	})
}

// archive is a source whose files are written by hand.
type archive struct {
	*testing.T
	cfg  ParquetConfig
	left string // a file that no pass must read: its rows are destroyed once the source is open
}

func newArchive(t *testing.T) *archive {
	dir := t.TempDir()
	return &archive{T: t, cfg: testConfig(dir, "m*.parquet")}
}

// write writes messages, each "conversation time" or "conversation time role".
func (e *archive) write(name string, rows ...string) {
	e.Helper()
	var texts []string
	for i, row := range rows {
		f := append(strings.Fields(row), "customer")
		texts = append(texts, fmt.Sprintf(`{"conversation_id": %q, "message_id": "%s-%d", "sent_at": %q, "role": %q}`, f[0], name, i, f[1], f[2]))
	}
	writeParquet(e, filepath.Join(e.cfg.Dir, name+".parquet"), plainFields, "["+strings.Join(texts, ",")+"]", 1)
}

// read reads a pass and returns what it shows of each conversation, and the
// files as the next pass knows them.
func (e *archive) read(pass Pass) (map[string]string, []File) {
	e.Helper()
	pp := mustOpen(e, e.cfg).Pass(pass)
	if e.left != "" {
		e.destroy(e.left)
	}
	all, err := readPass(pp, "")
	if err != nil {
		e.Fatal(err)
	}
	seen := map[string]string{}
	for _, tr := range all {
		var lines []string
		for _, m := range tr.Messages {
			lines = append(lines, m.MessageID)
		}
		for _, r := range tr.Rejects {
			lines = append(lines, string(r.Reason))
		}
		for range tr.Filtered {
			lines = append(lines, "filtered")
		}
		slices.Sort(lines)
		seen[tr.ConversationID] = strings.Join(lines, " ")
	}
	return seen, pp.Files()
}

func (e *archive) want(pass Pass, want map[string]string) []File {
	e.Helper()
	got, files := e.read(pass)
	if d := cmp.Diff(want, got); d != "" {
		e.Errorf("transcripts (-want +got)\n%s", d)
	}
	return files
}

// touch makes a file another one.
func (e *archive) touch(name string) {
	e.Helper()
	at := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(e.cfg.Dir, name+".parquet"), at, at); err != nil {
		e.Fatal(err)
	}
}

// destroy overwrites all of a file but its ends, which have been read.
func (e *archive) destroy(name string) {
	e.Helper()
	path := filepath.Join(e.cfg.Dir, name+".parquet")
	info, err := os.Stat(path)
	if err != nil {
		e.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		e.Fatal(err)
	}
	footer := int(binary.LittleEndian.Uint32(data[len(data)-tailSize:]))
	clear(data[len(magic) : len(data)-tailSize-footer])
	if err := errors.Join(os.WriteFile(path, data, 0o600), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		e.Fatal(err)
	}
}

func TestPassKnowsWhatFilesHold(t *testing.T) {
	e := newArchive(t)
	e.write("m1", "a 2024-03-05", "b 2024-03-02")
	e.write("m2", "c 2024-03-01", "d never")
	e.write("m3", "e 2024-03-03", "e 2024-03-04", "f 2024-03-09 system")
	e.write("m4", "f 2024-03-09 system")
	files := e.want(Pass{}, map[string]string{
		"a": "m1-0", "b": "m1-1", "c": "m2-0", "d": "bad_timestamp", "e": "m3-0 m3-1", "f": " ",
	})
	var got []string
	for _, f := range files {
		got = append(got, fmt.Sprintf("%s %s %.10s %.10s", f.Set, f.Path, f.Oldest, f.Newest))
	}
	want := []string{
		"messages m1.parquet 2024-03-02 2024-03-05", "messages m2.parquet  ",
		"messages m3.parquet 2024-03-03 2024-03-04", "messages m4.parquet  ",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	_, again := e.read(Pass{Known: files})
	if d := cmp.Diff(files, again); d != "" {
		t.Errorf("after a pass that read nothing: %s", d)
	}
}

func TestPassOfConversations(t *testing.T) {
	e := newArchive(t)
	e.cfg.Conversations = []Set{{Name: "chats", Files: []string{"c*.parquet"}}}
	e.write("m1", "a 2024-03-01", "b 2024-03-01")
	e.write("m2", "a 2024-03-02", "c 2024-03-02")
	write := func(name, id string) {
		writeParquet(t, filepath.Join(e.cfg.Dir, name), []arrow.Field{column("conversation_id", text), column("user_id", text)},
			fmt.Sprintf(`[{"conversation_id": %q, "user_id": "u"}]`, id), 1)
	}
	write("c1.parquet", "a")
	write("c2.parquet", "c")
	files := e.want(Pass{}, map[string]string{"a": "m1-0 m2-0", "b": "m1-1", "c": "m2-1"})
	e.want(Pass{Known: files}, map[string]string{})
	e.want(Pass{Known: files, Due: []string{"b", "gone"}}, map[string]string{"b": "m1-1"})
	e.want(Pass{Lower: 5, Upper: 5, Due: []string{"c"}}, map[string]string{"c": "m2-1"})
	write("c3.parquet", "b")
	e.touch("c1")
	e.want(Pass{Known: files}, map[string]string{"a": "m1-0 m2-0", "b": "m1-1"})
	e.want(Pass{Known: files, Full: true}, map[string]string{"a": "m1-0 m2-0", "b": "m1-1", "c": "m2-1"})
}

// TestPassAfterLookup: any row may read otherwise when a lookup has changed.
func TestPassAfterLookup(t *testing.T) {
	e := newArchive(t)
	e.cfg.Lookups = map[string]Lookup{"names": {Set: Set{Files: []string{"l.parquet"}}, Key: "key"}}
	e.cfg.Messages[0].Where = `lookup("names", conversation_id)?.key != nil`
	e.write("m1", "a 2024-03-01", "b 2024-03-01")
	keys := func(rows string) {
		writeParquet(t, filepath.Join(e.cfg.Dir, "l.parquet"), []arrow.Field{column("key", text)}, rows, 1)
	}
	keys(`[{"key": "a"}]`)
	files := e.want(Pass{}, map[string]string{"a": "m1-0", "b": "filtered"})
	keys(`[{"key": "a"}, {"key": "b"}]`)
	e.want(Pass{Known: files}, map[string]string{"a": "m1-0", "b": "m1-1"})
}

func TestPassOfTimes(t *testing.T) {
	e := newArchive(t)
	e.cfg.Conversations = []Set{{Files: []string{"c.parquet"}}}
	writeParquet(t, filepath.Join(e.cfg.Dir, "c.parquet"), []arrow.Field{column("conversation_id", text), column("ended_at", text)},
		`[{"conversation_id": "b", "ended_at": "2024-03-05"}, {"conversation_id": "c", "ended_at": "2024-03-02"}]`, 1)
	e.write("m1", "a 2024-03-01", "b 2024-03-01", "c 2024-03-01", "d never")
	e.write("m2", "a 2024-03-06", "a 2024-03-07", "c 2024-03-02", "f 2024-03-08")
	day := func(n int) Time { return TimeOf(time.Date(2024, 3, n, 0, 0, 0, 0, time.UTC)) }
	e.want(Pass{From: day(5), Until: day(8)}, map[string]string{"a": "m1-0 m2-0 m2-1", "b": "m1-1", "d": "bad_timestamp"})
	e.want(Pass{From: day(8)}, map[string]string{"d": "bad_timestamp", "f": "m2-3"})
	e.want(Pass{Until: day(2), Shard: Shard{1, 2}}, maps.Collect(func(yield func(string, string) bool) {
		for id, lines := range map[string]string{"a": "m1-0 m2-0 m2-1", "b": "m1-1", "c": "m1-2 m2-2", "d": "bad_timestamp"} {
			if (Shard{1, 2}).Has(id) && !yield(id, lines) {
				return
			}
		}
	}))
}

// TestLookback: files that are older than anything that is looked at can belong
// to are not read, and what may have begun in them is rejected.
func TestLookback(t *testing.T) {
	e := newArchive(t)
	e.cfg.Lookback = 48 * time.Hour
	e.write("m1", "a 2024-03-01", "b 2024-03-01")
	e.write("m2", "a 2024-03-09", "c 2024-03-09", "d 2024-03-10")
	_, files := e.read(Pass{})
	pass := Pass{Known: files}
	e.write("m3", "c 2024-03-11", "a 2024-03-11", "e 2024-03-12")
	e.left = "m1"
	e.want(pass, map[string]string{"a": "m2-0 m3-1", "c": "m2-1 m3-0", "e": "m3-2"})
	pass.Due, pass.DueSince = []string{"d"}, files[1].Newest
	e.want(pass, map[string]string{"a": "m2-0 m3-1", "c": "m2-1 m3-0", "d": "m2-2", "e": "m3-2"})

	// The conversation of the row that is new has lasted for longer.
	pass.Due = nil
	e.write("m3", "c 2024-03-12", "e 2024-03-11")
	e.want(pass, map[string]string{"c": "incomplete", "e": "m3-1"})
	if _, err := readPass(mustOpen(e, e.cfg).Pass(Pass{}), ""); err == nil {
		t.Error("a file without rows was read")
	}
}

// TestLookbackIsNotTrusted: nothing is left out where it is not certain that
// nothing is missing.
func TestLookbackIsNotTrusted(t *testing.T) {
	e := newArchive(t)
	e.cfg.Lookback = 48 * time.Hour
	e.write("m1", "a 2024-03-01", "b 2024-03-01")
	_, files := e.read(Pass{})
	long := map[string]string{"a": "m1-0 m2-0"}
	e.write("m2", "a 2024-03-20")
	e.want(Pass{Known: files, Rejected: []string{"a"}}, long)
	e.want(Pass{Known: files, Rejected: []string{"b"}}, map[string]string{"a": "m2-0"})
	e.want(Pass{Known: files, Due: []string{"b"}}, map[string]string{"a": "m1-0 m2-0", "b": "m1-1"})
	unknown := slices.Clone(files)
	unknown[0].Newest = 0
	e.want(Pass{Known: unknown}, long)
	e.cfg.Lookback = 0
	e.want(Pass{Known: files}, long)
	e.cfg.Lookback = 48 * time.Hour
	e.write("m2", "a 2024-03-20", "b never")
	e.want(Pass{Known: files}, map[string]string{"a": "m1-0 m2-0", "b": "bad_timestamp m1-1"})
}
