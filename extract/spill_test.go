package extract

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSpillFile(t *testing.T) {
	for _, plain := range []bool{false, true} {
		testSpillFile(t, plain)
	}
}

func testSpillFile(t *testing.T, plain bool) {
	parent := t.TempDir()
	s := &spillFile{parent: parent, plain: plain}
	want := strings.Repeat("some rows ", 1000)
	x, err := s.write([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if smaller := x.size < int64(len(want)); smaller == plain {
		t.Errorf("%d bytes are kept in %d, plain %t", len(want), x.size, plain)
	}
	for path, mode := range map[string]os.FileMode{s.dir: 0o700, s.file.Name(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
	}
	if got, err := s.read(x); err != nil || string(got) != want {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	for range 2 {
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSpillFileErrNoRoom(t *testing.T) {
	s := &spillFile{parent: filepath.Join(t.TempDir(), "missing")}
	_, err := s.write([]byte("x"))
	var spill *SpillError
	if !errors.As(err, &spill) || !errors.Is(err, os.ErrNotExist) || spill.Dir != s.parent || spill.Try == "" {
		t.Errorf("got %v", err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestRemoveStale(t *testing.T) {
	parent := t.TempDir()
	live := &spillFile{parent: parent}
	if _, err := live.write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	defer live.close()
	mk := func(name string, age time.Duration, files ...string) string {
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dir, f), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(dir, then, then); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	dead := mk("chatbackfill-rows-99999-1", 0, spillLock, spillRows)
	starting := mk("chatbackfill-rows-99999-2", 0)
	old := mk("chatbackfill-rows-99999-3", 2*staleAge)
	other := mk("something-else", 2*staleAge, spillLock)
	namesake := mk("chatbackfill-notes", 2*staleAge)
	foreign := mk("chatbackfill-rows-99999-4", 2*staleAge, "notes.txt")
	removeStale(parent, time.Now())
	for dir, want := range map[string]bool{live.dir: true, dead: false, starting: true, old: false, other: true, namesake: true, foreign: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %v", filepath.Base(dir), err == nil)
		}
	}
}
