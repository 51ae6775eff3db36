package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// spoil makes a file one that nobody can open, and that looks as it did.
func (e *archive) spoil(name string) {
	e.Helper()
	path := filepath.Join(e.cfg.Dir, name+".parquet")
	info, err := os.Stat(path)
	if err != nil {
		e.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, make([]byte, info.Size()), 0o600), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		e.Fatal(err)
	}
}

// TestKnownFiles: what is known of a file spares looking into it, until its rows
// are needed.
func TestKnownFiles(t *testing.T) {
	e := newArchive(t)
	e.cfg.Lookback = 48 * time.Hour
	e.write("m1", "a 2024-03-01")
	e.write("m2", "c 2024-03-09", "d 2024-03-10")
	_, files := e.read(Pass{})
	e.spoil("m1")
	e.cfg.Known = files
	e.want(Pass{Known: files}, map[string]string{})
	e.write("m3", "c 2024-03-11")
	e.want(Pass{Known: files}, map[string]string{"c": "m2-0 m3-0"})

	p := mustOpen(t, e.cfg)
	if got := p.RowCount(); got != 1 {
		t.Errorf("got %d rows before the pass", got)
	}
	if _, err := readPass(p.Pass(Pass{Known: files, Full: true}), ""); err == nil || !strings.Contains(err.Error(), "read m1.parquet: ") {
		t.Errorf("got error %v", err)
	}
	if _, err := readPass(mustOpen(t, e.cfg).Pass(Pass{Known: files}), ""); err != nil {
		t.Error(err)
	}
	e.touch("m1")
	if _, err := OpenParquet(context.Background(), e.cfg); err == nil || !strings.Contains(err.Error(), "read m1.parquet: ") {
		t.Errorf("of a file that has changed: got error %v", err)
	}
}

// TestKnownFilesHaveColumns: a column that only files have which are known is no
// mistake, and one that none has is.
func TestKnownFilesHaveColumns(t *testing.T) {
	e := newArchive(t)
	e.cfg.Messages[0].Fields = map[string]Field{"user_id": {Column: "customer"}}
	writeParquet(t, filepath.Join(e.cfg.Dir, "m1.parquet"), append(plainFields[:4:4], column("customer", text)),
		`[{"conversation_id": "a", "message_id": "m1-0", "sent_at": "2024-03-01", "role": "customer", "customer": "u"}]`, 1)
	_, files := e.read(Pass{})
	e.cfg.Known = files
	e.write("m2", "a 2024-03-02", "b 2024-03-02")
	e.want(Pass{Known: files}, map[string]string{"a": "m1-0 m2-0", "b": "m2-1"})
	e.cfg.Messages[0].Fields["body"] = Field{Column: "nowhere"}
	_, err := OpenParquet(context.Background(), e.cfg)
	if want := "messages.body: there is no column nowhere in any of 2 files (m1.parquet, …)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestKnownObjects counts what is asked of a store for many objects, of which one
// is new.
func TestKnownObjects(t *testing.T) {
	s, dir := newStoreS3(t), t.TempDir()
	path := filepath.Join(t.TempDir(), "m.parquet")
	writeParquet(t, path, plainFields, `[{"conversation_id": "a", "sent_at": "2024-03-01", "role": "customer"}]`, 1)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const objects = 40
	for i := range objects {
		s.put(fmt.Sprintf("m/%02d.parquet", i), data)
	}
	cfg := s.config(dir, "m")
	open := func() (*Parquet, int64) {
		before := s.asked.Load()
		p := mustOpen(t, cfg)
		t.Cleanup(func() { p.Close() })
		return p, s.asked.Load() - before
	}
	p, asked := open()
	lists := asked - objects // a request for each footer
	if lists < 1 || lists > 3 {
		t.Errorf("%d requests for %d objects", asked, objects)
	}
	cfg.Known = p.Files()
	if _, asked := open(); asked != lists {
		t.Errorf("%d requests for %d objects that are known", asked, objects)
	}
	s.put("m/new.parquet", bytes.Clone(data))
	p, asked = open()
	if asked != lists+1 {
		t.Errorf("%d requests for one object that is new", asked)
	}
	all, err := readPass(p.Pass(Pass{Known: cfg.Known}), "")
	if err != nil || len(all) != 1 || len(all[0].Messages) != objects+1 {
		t.Errorf("got %d transcripts, %v", len(all), err)
	}
}
