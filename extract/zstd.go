package extract

import (
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/zstd"
)

// cappedZstd replaces arrow-go's decoder of zstd pages, the only one that
// decodes more than the page header announces: a page of a few kilobytes could
// take all memory.
type cappedZstd struct {
	compress.Codec
	compress.StreamingCodec
	decoder *zstd.Decoder
}

func init() {
	codec, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil {
		panic(fmt.Sprintf("look up the zstd codec: %v", err))
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(fmt.Sprintf("make a zstd decoder: %v", err))
	}
	compress.RegisterCodec(compress.Codecs.Zstd, cappedZstd{codec, codec.(compress.StreamingCodec), decoder})
}

// Decode is of no use to Parquet, which asks for errors.
func (c cappedZstd) Decode(dst, src []byte) []byte {
	out, err := c.DecodeWithError(dst, src)
	if err != nil {
		panic(err)
	}
	return out
}

// DecodeWithError decodes at most len(dst) bytes, unless dst is nil.
func (c cappedZstd) DecodeWithError(dst, src []byte) ([]byte, error) {
	if dst == nil {
		return c.Codec.Decode(nil, src), nil
	}
	return c.decoder.DecodeAll(src, dst[:0:len(dst)])
}
