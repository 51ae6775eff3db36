package extract

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// File is a file of a source as it was found, and what is known of its rows.
type File struct {
	Set     string // the set that it belongs to, as errors call it
	Path    string // relative to the job, if it lies below it; quoted if it is no UTF-8
	Size    int64
	Version string // when it was written or, in a bucket, its ETag or generation

	// Oldest and Newest are the times of its first and last message; 0: they are
	// not known, or a row of it could not be read.
	Oldest, Newest Time
}

// FileKey names a file of a source.
type FileKey struct{ Set, Path string }

// Key is the file's name.
func (f *File) Key() FileKey { return FileKey{f.Set, f.Path} }

// Is reports whether f and o are the same file with the same content.
func (f *File) Is(o *File) bool {
	return f.Key() == o.Key() && f.Size == o.Size && f.Version == o.Version
}

func byKey(files []File) map[FileKey]*File {
	m := make(map[FileKey]*File, len(files))
	for i := range files {
		m[files[i].Key()] = &files[i]
	}
	return m
}

// Files are the source's files, those of a set in the order of their paths.
func (p *Parquet) Files() (all []File) {
	for _, files := range [...][]*parquetFile{p.messages, p.others, p.agents, p.lookups} {
		for _, f := range files {
			all = append(all, f.identity())
		}
	}
	return all
}

func (f *parquetFile) identity() File {
	path := f.place()
	if !utf8.ValidString(path) {
		path = strconv.Quote(path)
	}
	return File{Set: f.label, Path: path, Size: f.size, Version: f.version()}
}

func (f *sourceFile) version() string {
	if f.object != nil && f.object.version != "" {
		return f.object.version
	}
	return strconv.FormatInt(f.modTime.UnixNano(), 10)
}

// Version names the content of all files: while it stays the same there is
// nothing new to read.
func (p *Parquet) Version() string {
	d := xxhash.New()
	for _, f := range p.Files() {
		fmt.Fprintf(d, "%q %q %d %q\n", f.Set, f.Path, f.Size, f.Version)
	}
	return fmt.Sprintf("%016x", d.Sum64())
}
