package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// FileError says which file cannot be read, why, and what to do about it.
type FileError struct {
	Path string // as the job's owner knows it: relative to the job, if below it
	Err  error
	Try  string
}

func (e *FileError) Error() string { return fmt.Sprintf("read %s: %v", e.Path, e.Err) }
func (e *FileError) Unwrap() error { return e.Err }

// ErrChanged matches the error of a file that changed while it was read. What
// was read of it may be a mixture, so the run has to start over.
var ErrChanged = errors.New("the file changed while it was read")

// ChangedError names the file that changed; it matches [ErrChanged].
type ChangedError struct{ Path string }

func (e *ChangedError) Error() string { return e.Path + ": " + ErrChanged.Error() }
func (e *ChangedError) Unwrap() error { return ErrChanged }

// sourceFile is a local file, or one in a bucket, as it was when the source was
// opened.
type sourceFile struct {
	path    string // for opening, and for the folders that it lies in
	name    string // for people
	size    int64
	modTime time.Time
	object  *object // nil: a local file
}

// content is what a file holds.
type content interface {
	io.ReaderAt
	io.Closer
}

// open opens the file, provided that it is still the same one. What is read of
// a bucket is read until ctx ends.
func (f *sourceFile) open(ctx context.Context) (content, error) {
	if f.object != nil {
		return f.openObject(ctx), nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, &FileError{Path: f.name, Err: plainError(err)}
	}
	info, err := file.Stat()
	if err == nil && !f.same(info) {
		err = &ChangedError{f.name}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func (f *sourceFile) same(info fs.FileInfo) bool {
	return info.Size() == f.size && info.ModTime().Equal(f.modTime)
}

// unchanged returns an error if the file is no longer what it was. Of an object
// no other version is ever read.
func (f *sourceFile) unchanged() error {
	if f.object != nil {
		return nil
	}
	info, err := os.Stat(f.path)
	if err != nil || !f.same(info) {
		return &ChangedError{f.name}
	}
	return nil
}

// plainError takes the path out of an error that is told together with it.
func plainError(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// resolveFiles finds the files of patterns, which are files, folders (every
// *.parquet below) or globs, relative to dir, or addresses of these in buckets.
// It returns them in order of their paths, each once, and reports every pattern
// that yields nothing.
func resolveFiles(ctx context.Context, dir string, patterns []string, buckets *buckets) (files []*sourceFile, errs []error) {
	seen := map[string]bool{}
	for _, pattern := range patterns {
		found, err := resolve(ctx, dir, pattern, buckets)
		if err != nil {
			errs = append(errs, err)
		}
		for _, f := range found {
			if !seen[f.place()] {
				files = append(files, f)
			}
			seen[f.place()] = true
		}
	}
	slices.SortFunc(files, func(a, b *sourceFile) int { return strings.Compare(a.path, b.path) })
	return files, errs
}

// place names a file among those of all stores: two of them may have one key.
func (f *sourceFile) place() string {
	if f.object == nil || f.object.bucket.parameters == "" {
		return f.name
	}
	return f.name + "?" + f.object.bucket.parameters
}

func resolve(ctx context.Context, dir, pattern string, buckets *buckets) (files []*sourceFile, err error) {
	if isAddress(pattern) {
		return buckets.resolve(ctx, pattern)
	}
	paths, err := resolvePattern(dir, pattern)
	errs := []error{err}
	for _, p := range paths {
		f, err := statFile(dir, p)
		if err == nil {
			files = append(files, f)
		}
		errs = append(errs, err)
	}
	return files, errors.Join(errs...)
}

func statFile(dir, p string) (*sourceFile, error) {
	f := &sourceFile{path: p, name: displayName(dir, p)}
	info, err := os.Stat(p)
	if err != nil {
		return nil, &FileError{Path: f.name, Err: plainError(err)}
	}
	if !info.Mode().IsRegular() {
		return nil, &FileError{Path: f.name, Err: errors.New("it is no regular file")}
	}
	f.size, f.modTime = info.Size(), info.ModTime()
	return f, nil
}

func displayName(dir, p string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		if rel, err := filepath.Rel(abs, p); err == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel)
		}
	}
	return filepath.ToSlash(p)
}

// resolvePattern returns the absolute paths of the files of one pattern.
func resolvePattern(dir, pattern string) ([]string, error) {
	fail := func(problem, try string) error {
		return &FileError{Path: pattern, Err: errors.New(problem), Try: try}
	}
	full := pattern
	if !filepath.IsAbs(full) {
		full = filepath.Join(dir, filepath.FromSlash(pattern))
	}
	full, err := filepath.Abs(full)
	if err != nil {
		return nil, &FileError{Path: pattern, Err: err}
	}
	info, err := os.Stat(full)
	switch {
	case err == nil && info.IsDir():
		return folder(pattern, full)
	case err == nil:
		return []string{full}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, &FileError{Path: pattern, Err: plainError(err)}
	case !hasMeta(pattern):
		return nil, fail("there is no such file or folder", "paths are relative to "+dir)
	}
	return glob(dir, pattern)
}

func hasMeta(pattern string) bool { return strings.ContainsAny(pattern, `*?[{`) }

// folder finds every *.parquet below a folder, which may be a symbolic link.
// What starts with _ or . is what writers leave beside their data.
func folder(pattern, root string) ([]string, error) {
	var found []string
	root = strings.TrimSuffix(root, string(filepath.Separator)) + string(filepath.Separator) // where a link leads
	err := filepath.WalkDir(root, func(p string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p != root && hidden(entry.Name()) && entry.IsDir():
			return fs.SkipDir
		case !entry.IsDir() && !hidden(entry.Name()) && strings.EqualFold(filepath.Ext(p), ".parquet"):
			found = append(found, p)
		}
		return nil
	})
	if err != nil {
		return nil, &FileError{Path: pattern, Err: plainError(err)}
	}
	if len(found) == 0 {
		return nil, &FileError{Path: pattern, Err: errors.New("the folder holds no *.parquet files"),
			Try: "name the folder of the export, or a glob if its files are called otherwise"}
	}
	return found, nil
}

func hidden(name string) bool { return strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") }

// glob finds the files that match a pattern, and those below matching folders.
func glob(dir, pattern string) ([]string, error) {
	base, rest := doublestar.SplitPattern(filepath.ToSlash(pattern))
	root := filepath.FromSlash(base)
	if !filepath.IsAbs(root) {
		root = filepath.Join(dir, root)
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, &FileError{Path: pattern, Err: err}
	}
	matches, err := doublestar.Glob(os.DirFS(root), rest, doublestar.WithFailOnIOErrors())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &FileError{Path: pattern, Err: plainError(err), Try: "check the glob's brackets and the rights to its folders"}
	}
	var found []string
	for _, match := range matches {
		if !hiddenBelow(rest, match) {
			found = append(found, matchFiles(filepath.Join(root, filepath.FromSlash(match)))...)
		}
	}
	if len(found) == 0 {
		return nil, &FileError{Path: pattern, Err: errors.New("no file matches"), Try: "paths are relative to " + dir}
	}
	return found, nil
}

// hiddenBelow reports whether a part of match is hidden and not asked for.
func hiddenBelow(pattern, match string) bool {
	for part := match; part != "." && part != "/"; part = path.Dir(part) {
		if name := path.Base(part); hidden(name) && !strings.Contains("/"+pattern, "/"+name[:1]) {
			return true
		}
	}
	return false
}

// matchFiles is the file that a glob matched, or the files below the folder.
func matchFiles(p string) []string {
	info, err := os.Stat(p)
	if err != nil || !info.IsDir() {
		return []string{p} // opening it tells what is wrong
	}
	found, err := folder(p, p)
	if err != nil {
		return nil // other matches may hold the files
	}
	return found
}
