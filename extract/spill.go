package extract

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/klauspost/compress/s2"
)

// SpillError is a temporary file that cannot be written or read.
type SpillError struct {
	Dir  string
	Size int64 // bytes that it was to have
	Err  error
	Try  string
}

func (e *SpillError) Error() string {
	return fmt.Sprintf("keep %s of rows in a temporary file in %s: %v", humanize.Bytes(uint64(e.Size)), e.Dir, e.Err)
}
func (e *SpillError) Unwrap() error { return e.Err }

// DiskFails reports whether an error is that of a disk that is full or broken.
// Once it is mended, the same goes well.
func DiskFails(err error) bool {
	fails := func(errno syscall.Errno) bool { return errors.Is(err, errno) }
	return slices.ContainsFunc([]syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EIO}, fails)
}

// spillFile is a private temporary file that takes what memory has no room
// for. It is made when it is first needed. Several goroutines may use it.
type spillFile struct {
	parent string // the folder to make the private one in
	plain  bool   // blocks are not compressed

	once sync.Once
	err  error
	dir  string
	file *os.File
	lock *os.File
	end  atomic.Int64

	buffers sync.Pool // of *[]byte
}

// extent is a part of the spill file: a block.
type extent struct{ offset, size int64 }

func (s *spillFile) fault(err error) error {
	return &SpillError{
		Dir:  s.parent,
		Size: s.end.Load(),
		Err:  plainError(err),
		Try:  "make room there, or set source.parquet.tmp to a folder with more room than the uncompressed export takes, or raise source.parquet.memory",
	}
}

func (s *spillFile) write(b []byte) (extent, error) {
	s.once.Do(func() { s.err = s.create() })
	if s.err != nil {
		return extent{}, s.fault(s.err)
	}
	if !s.plain {
		b = s2.Encode(s.buffer(s2.MaxEncodedLen(len(b))), b)
		defer s.buffers.Put(&b)
	}
	size := int64(len(b))
	x := extent{s.end.Add(size) - size, size}
	if _, err := s.file.WriteAt(b, x.offset); err != nil {
		return extent{}, s.fault(err)
	}
	return x, nil
}

// buffer returns one that is no longer in use, if it is large enough.
func (s *spillFile) buffer(size int) []byte {
	if b, ok := s.buffers.Get().(*[]byte); ok && cap(*b) >= size {
		return (*b)[:size]
	}
	return make([]byte, size)
}

func (s *spillFile) read(x extent) ([]byte, error) {
	stored := s.buffer(int(x.size))
	if _, err := s.file.ReadAt(stored, x.offset); err != nil {
		return nil, s.fault(err)
	}
	if s.plain {
		return stored, nil
	}
	defer s.buffers.Put(&stored)
	b, err := s2.Decode(nil, stored)
	if err != nil {
		return nil, s.fault(err)
	}
	return b, nil
}

// The names in a private folder. The lock is held as long as its process lives.
const (
	spillPattern = "chatbackfill-rows-*"
	spillLock    = "lock"
	spillRows    = "rows"
)

func (s *spillFile) create() (err error) {
	s.dir, err = os.MkdirTemp(s.parent, fmt.Sprintf("chatbackfill-rows-%d-*", os.Getpid()))
	if err != nil {
		return err
	}
	if s.lock, err = lockFile(filepath.Join(s.dir, spillLock)); err != nil {
		return err
	}
	s.file, err = os.OpenFile(filepath.Join(s.dir, spillRows), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	return err
}

// lockFile makes a locked file. It has its name only once it is locked, so
// that nobody finds it unlocked while this process lives.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name+".new", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := TryLock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, os.Rename(name+".new", name)
}

// close removes the file and its folder. It may be called again.
func (s *spillFile) close() error {
	s.once.Do(func() {}) // nothing is made any more
	var errs []error
	for _, f := range []*os.File{s.file, s.lock} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	s.file, s.lock = nil, nil
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// staleAge is when a folder without a lock is taken to be left behind.
const staleAge = 24 * time.Hour

// removeStale removes the folders of processes that are gone. Whatever cannot
// be looked at or removed is somebody else's and stays.
func removeStale(parent string, now time.Time) {
	dirs, err := filepath.Glob(filepath.Join(parent, spillPattern))
	if err != nil {
		return // the pattern is malformed because of parent: nothing to clean
	}
	for _, dir := range dirs {
		if isStale(dir, now) {
			removeSpill(dir)
		}
	}
}

// removeSpill removes a private folder with the files that this program makes in
// one. A folder that has anything else is somebody else's, and stays.
func removeSpill(dir string) {
	for _, name := range []string{spillRows, spillLock + ".new", spillLock, ""} {
		// What cannot be removed is tried again by the next run.
		_ = os.Remove(filepath.Join(dir, name))
	}
}

func isStale(dir string, now time.Time) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	lock, err := os.OpenFile(filepath.Join(dir, spillLock), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return now.Sub(info.ModTime()) > staleAge
	}
	if err != nil {
		return false
	}
	defer lock.Close()
	return TryLock(lock) == nil
}
