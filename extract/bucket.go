package extract

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/s3blob"    // s3://
	"gocloud.dev/gcerrors"
)

// buckets are those that a source reads from.
type buckets struct {
	policy retryPolicy
	log    *slog.Logger
	blocks int // that a reader of an object keeps
	open   map[string]*bucket
	down   atomic.Pointer[SourceUnavailable] // what ended trying again
}

// The memory of the readers of objects: a part of that for rows, each.
const memoryPart = 16

func newBuckets(memory int64, policy retryPolicy, log *slog.Logger) *buckets {
	if policy == (retryPolicy{}) {
		policy = defaultRetry
	}
	blocks := min(max(memory/memoryPart/blockSize, minBlocks), maxBlocks)
	return &buckets{policy: policy, log: logger(log), blocks: int(blocks), open: map[string]*bucket{}}
}

func (b *buckets) close() error {
	var errs []error
	for _, one := range b.open {
		errs = append(errs, one.Close())
	}
	clear(b.open)
	return errors.Join(errs...)
}

// bucket is a bucket, with the parameters by which its store is reached.
type bucket struct {
	*blob.Bucket
	*buckets
	address
}

// at opens the bucket of an address, once. Credentials that are looked up for
// it may serve longer than ctx.
func (b *buckets) at(ctx context.Context, a address) (*bucket, error) {
	root := a.root()
	if open, ok := b.open[root]; ok {
		return open, nil
	}
	store, err := blob.OpenBucket(context.WithoutCancel(ctx), root)
	if err != nil {
		return nil, &FileError{Path: a.of(a.pattern), Err: plainCause(err), Try: "check the address's parameters, and what the environment says of " + a.scheme + "://"}
	}
	b.open[root] = &bucket{store, b, a}
	return b.open[root], nil
}

// resolve finds the objects of an address: a key, a folder, or a glob.
func (b *buckets) resolve(ctx context.Context, text string) ([]*sourceFile, error) {
	a, err := parseAddress(text)
	if err != nil {
		return nil, err
	}
	store, err := b.at(ctx, a)
	if err != nil {
		return nil, err
	}
	found, err := store.find(ctx, a.pattern)
	if err == nil && len(found) == 0 {
		err = &FileError{Path: a.of(a.pattern), Err: errors.New("no *.parquet file is there, or none matches"), Try: "check bucket, folder and glob: keys are taken as they are, with upper and lower case"}
	}
	return found, err
}

func (b *bucket) find(ctx context.Context, pattern string) ([]*sourceFile, error) {
	if hasMeta(pattern) {
		found, err := b.glob(ctx, pattern)
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
	if pattern != "" && !strings.HasSuffix(pattern, "/") {
		f, err := b.stat(ctx, pattern)
		switch {
		case err != nil:
			return nil, err
		case f != nil:
			return []*sourceFile{f}, nil
		}
		pattern += "/"
	}
	return b.list(ctx, pattern, func(key string) bool { return inFolder(pattern, key) })
}

// stat returns nil if there is no such object.
func (b *bucket) stat(ctx context.Context, key string) (found *sourceFile, err error) {
	err = b.retry(ctx, b.of(key), func(ctx context.Context) error {
		attrs, err := b.Attributes(ctx, key)
		switch {
		case gcerrors.Code(err) == gcerrors.NotFound:
			return nil
		case err != nil:
			return err
		}
		found = b.file(key, attrs.Size, attrs.ModTime, versionOf(attrs.As, attrs.ETag))
		return nil
	})
	return found, err
}

// file is an object as it was found. Times are told in seconds by some answers.
func (b *bucket) file(key string, size int64, modTime time.Time, version string) *sourceFile {
	name := b.of(key)
	return &sourceFile{path: name, name: name, size: size, modTime: modTime.Truncate(time.Second), object: &object{b, key, version}}
}

// listPage is how many objects are asked for at once.
const listPage = 1000

// list returns the objects whose keys begin with prefix and are wanted.
func (b *bucket) list(ctx context.Context, prefix string, wanted func(key string) bool) (found []*sourceFile, err error) {
	opts := &blob.ListOptions{Prefix: prefix, BeforeList: once}
	for token := blob.FirstPageToken; len(token) > 0; {
		var page []*blob.ListObject
		var next []byte
		err := b.retry(ctx, b.of(prefix), func(ctx context.Context) (err error) {
			page, next, err = b.ListPage(ctx, token, listPage, opts)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, o := range page {
			if !o.IsDir && !strings.HasSuffix(o.Key, "/") && wanted(o.Key) {
				found = append(found, b.file(o.Key, o.Size, o.ModTime, versionOf(o.As, "")))
			}
		}
		token = next
	}
	return found, nil
}

// glob finds the objects that match, and those below matching folders.
func (b *bucket) glob(ctx context.Context, pattern string) ([]*sourceFile, error) {
	if !doublestar.ValidatePattern(pattern) {
		return nil, &FileError{Path: b.of(pattern), Err: doublestar.ErrBadPattern, Try: "check the glob's brackets"}
	}
	prefix := pattern[:strings.IndexAny(pattern, `*?[{\`)]
	return b.list(ctx, prefix, func(key string) bool { return matches(pattern, key) })
}

func matches(pattern, key string) bool {
	match := func(name string) bool {
		return doublestar.MatchUnvalidated(pattern, name) && !hiddenBelow(pattern, name)
	}
	if match(key) {
		return true
	}
	for dir := path.Dir(key); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if match(dir) && inFolder(dir+"/", key) {
			return true
		}
	}
	return false
}

// inFolder reports whether a key is that of a *.parquet file below a folder.
// What starts with _ or . is what writers leave beside their data.
func inFolder(folder, key string) bool {
	below, ok := strings.CutPrefix(key, folder)
	return ok && strings.EqualFold(path.Ext(below), ".parquet") && !hiddenBelow("", below)
}
