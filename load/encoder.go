package load

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// encoder begins a part of a file: what is written to it, once closed, can be
// read on its own or after what is before it.
type encoder func(io.Writer) (io.WriteCloser, error)

var encoders = []struct {
	extension string
	open      encoder
}{
	{".ndjson", func(w io.Writer) (io.WriteCloser, error) { return plain{w}, nil }},
	{".ndjson.gz", func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }},
	{".ndjson.zst", func(w io.Writer) (io.WriteCloser, error) {
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}},
}

// encoderFor returns how a file of this name is encoded.
func encoderFor(path string) (encoder, error) {
	var known []string
	for _, e := range encoders {
		if strings.HasSuffix(path, e.extension) {
			return e.open, nil
		}
		known = append(known, e.extension)
	}
	return nil, &Misconfigured{
		Problem: fmt.Sprintf("the name of destination.file.path %q does not say what kind of file it is", filepath.Base(path)),
		Advice:  "let it end in one of " + strings.Join(known, ", "),
	}
}

type plain struct{ io.Writer }

// Close implements [io.Closer].
func (plain) Close() error { return nil }
