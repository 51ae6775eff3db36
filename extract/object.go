package extract

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"gocloud.dev/blob"
)

// object is a file in a bucket, in the version that was found.
type object struct {
	bucket  *bucket
	key     string
	version string // its ETag or generation; empty: the store told none
}

// attempt is how long reading a block may take.
const attempt = time.Minute

var errRange = errors.New("its store answered with other bytes than were asked for")

// readObject fills buf from a place in the object, in one attempt. All that is read
// of an object is of the version that was found.
func (f *sourceFile) readObject(ctx context.Context, buf []byte, at int64) error {
	r, err := f.object.bucket.NewRangeReader(ctx, f.object.key, at, int64(len(buf)), &blob.ReaderOptions{BeforeRead: f.object.pin})
	if err != nil {
		return err
	}
	defer r.Close()
	if !f.isRead(r) {
		return &ChangedError{f.name}
	}
	if _, err := io.ReadFull(r, buf); err != nil {
		return errors.Join(io.ErrUnexpectedEOF, err)
	}
	var more [1]byte // a store that ignores ranges answers with the whole object
	switch n, err := r.Read(more[:]); {
	case n > 0:
		return errRange
	case err != nil && err != io.EOF:
		return err
	}
	return nil
}

// isRead reports whether what is being read is the object that was found.
func (f *sourceFile) isRead(r *blob.Reader) bool {
	if version := readVersion(r); version != "" && f.object.version != "" {
		return version == f.object.version && r.Size() == f.size
	}
	return r.Size() == f.size && r.ModTime().Truncate(time.Second).Equal(f.modTime)
}

// Parquet is read in many small pieces, of several columns in turn. Objects are
// read in blocks, of which those used last are kept.
const (
	blockSize = 1 << 20
	minBlocks = 4
	maxBlocks = 16
)

// objectReader reads an object for one goroutine.
type objectReader struct {
	ctx    context.Context // of what the object is read for: io.ReaderAt has none
	file   *sourceFile
	blocks []block // the one used last is the last
	failed error   // what ended reading; decoders may hide it
}

type block struct {
	number int64
	data   []byte
}

func (f *sourceFile) openObject(ctx context.Context) *objectReader {
	return &objectReader{ctx: ctx, file: f}
}

// ReadAt implements [io.ReaderAt].
func (r *objectReader) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) && at < r.file.size {
		data, err := r.block(at / blockSize)
		if err != nil {
			return n, err
		}
		read := copy(p[n:], data[at%blockSize:])
		n, at = n+read, at+int64(read)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *objectReader) block(number int64) ([]byte, error) {
	at := slices.IndexFunc(r.blocks, func(b block) bool { return b.number == number })
	if at >= 0 {
		b := r.blocks[at]
		r.blocks = append(slices.Delete(r.blocks, at, at+1), b)
		return b.data, nil
	}
	if r.failed != nil {
		return nil, r.failed
	}
	b := block{number, r.free()[:min(blockSize, r.file.size-number*blockSize)]}
	if r.failed = r.fetch(b); r.failed != nil {
		return nil, r.failed
	}
	r.blocks = append(r.blocks, b)
	return b.data, nil
}

// free is the space of the block that was not used for longest, or new space.
func (r *objectReader) free() []byte {
	if len(r.blocks) < r.file.object.bucket.blocks {
		return make([]byte, min(blockSize, r.file.size))
	}
	data := r.blocks[0].data
	r.blocks = slices.Delete(r.blocks, 0, 1)
	return data[:cap(data)]
}

func (r *objectReader) fetch(b block) error {
	o := r.file.object
	return o.bucket.retry(r.ctx, r.file.name, func(ctx context.Context) error {
		err := r.file.readObject(ctx, b.data, b.number*blockSize)
		if isGone(err) {
			return &ChangedError{r.file.name}
		}
		return err
	})
}

// Close implements [io.Closer].
func (r *objectReader) Close() error {
	r.blocks = nil
	return nil
}
