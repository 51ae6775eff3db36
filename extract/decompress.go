package extract

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// pageCodec replaces arrow-go's decoder of pages: a page never takes more memory
// than its header announces, which is known to be within bounds. Left to itself
// a page of a few bytes could take all there is.
type pageCodec struct {
	compress.Codec
	compress.StreamingCodec
	decode func(dst, src []byte) ([]byte, error) // at most len(dst) bytes
}

func init() {
	decoder, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(fmt.Sprintf("make a zstd decoder: %v", err))
	}
	limit := func(number compress.Compression, decode func(dst, src []byte) ([]byte, error)) {
		codec, err := compress.GetCodec(number)
		if err != nil {
			panic(fmt.Sprintf("look up the %s codec: %v", number, err))
		}
		streaming, _ := codec.(compress.StreamingCodec)
		if decode == nil {
			decode = codec.(compress.ErrorCodec).DecodeWithError
		}
		compress.RegisterCodec(number, pageCodec{codec, streaming, decode})
	}
	limit(compress.Codecs.Zstd, func(dst, src []byte) ([]byte, error) { return decoder.DecodeAll(src, dst[:0:len(dst)]) })
	limit(compress.Codecs.Snappy, decodeSnappy)
	for _, number := range []compress.Compression{compress.Codecs.Gzip, compress.Codecs.Brotli, compress.Codecs.Lz4Raw} {
		limit(number, nil)
	}
	// The older kind of LZ4 is only ever read.
	raw, err := compress.GetCodec(compress.Codecs.Lz4Raw)
	if err != nil {
		panic(fmt.Sprintf("look up the LZ4_RAW codec: %v", err))
	}
	compress.RegisterCodec(compress.Codecs.Lz4, pageCodec{raw, nil, decodeLZ4})
}

// Decode is of no use to Parquet, which asks for errors.
func (c pageCodec) Decode(dst, src []byte) []byte {
	out, err := c.DecodeWithError(dst, src)
	if err != nil {
		panic(err)
	}
	return out
}

// DecodeWithError decodes at most len(dst) bytes. Some writers leave out what no
// bytes are compressed to.
func (c pageCodec) DecodeWithError(dst, src []byte) ([]byte, error) {
	if dst == nil {
		dst = []byte{} // without room, decoders make their own
	}
	if len(dst) == 0 && len(src) == 0 {
		return dst, nil
	}
	return c.decode(dst, src)
}

var errAnnounced = errors.New("it is larger than its header announces")

func decodeSnappy(dst, src []byte) ([]byte, error) {
	if size, err := snappy.DecodedLen(src); err == nil && size > len(dst) {
		return nil, errAnnounced
	}
	return snappy.Decode(dst, src)
}

// decodeLZ4 decodes the older kind of LZ4. Hadoop frames the blocks of a page,
// each with the sizes that it has decoded and as it is; other writers leave one
// block without a frame.
func decodeLZ4(dst, src []byte) ([]byte, error) {
	if out, ok := decodeHadoopLZ4(dst, src); ok {
		return out, nil
	}
	n, err := lz4.UncompressBlock(src, dst)
	return dst[:max(n, 0)], err
}

const hadoopHead = 8

func decodeHadoopLZ4(dst, src []byte) (_ []byte, ok bool) {
	at := 0
	for len(src) > 0 {
		if len(src) < hadoopHead {
			return nil, false
		}
		decoded, size := binary.BigEndian.Uint32(src), binary.BigEndian.Uint32(src[4:])
		src = src[hadoopHead:]
		if uint64(size) > uint64(len(src)) || uint64(decoded) > uint64(len(dst)-at) {
			return nil, false
		}
		n, err := lz4.UncompressBlock(src[:size], dst[at:at+int(decoded)])
		if err != nil || n != int(decoded) {
			return nil, false
		}
		at, src = at+n, src[size:]
	}
	return dst[:at], true
}
