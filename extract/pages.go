package extract

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The pages of a column chunk are looked at before they are decoded: arrow-go
// verifies no checksums and trusts counts in page headers, from which it
// allocates.

// chunk is where a column chunk's pages lie and how many values they hold.
type chunk struct {
	start, end int64 // end is the end of the file's data: sizes in footers of old writers are too small
	values     int64
	maxPage    int64 // the largest page to be decoded, in bytes
}

var errPageSize = errors.New("it takes too many bytes")

// The types of pages.
const (
	pageData       = 0
	pageIndex      = 1
	pageDictionary = 2
	pageDataV2     = 3
)

// The headers of pages are small unless they carry statistics of long values.
const (
	headerGuess = 512
	headerLimit = 4 << 20
)

// checkPages walks over the pages of a chunk without decoding them.
func checkPages(r io.ReaderAt, c chunk) error {
	var values int64
	for at := c.start; values < c.values; {
		h, size, err := readPageHeader(r, at, c.end)
		if err != nil {
			return fmt.Errorf("read the page header at byte %d: %w", at, err)
		}
		if err := h.check(c, at+size); err != nil {
			return fmt.Errorf("check the page at byte %d: %w", at, err)
		}
		if h.hasCRC {
			if err := checkCRC(r, at+size, int64(h.compressed), uint32(h.crc)); err != nil {
				return fmt.Errorf("check the page at byte %d: %w", at, err)
			}
		}
		if h.kind == pageData || h.kind == pageDataV2 {
			values += int64(h.values)
		}
		at += size + int64(h.compressed)
	}
	if values != c.values {
		return fmt.Errorf("its pages hold %d values, the footer says %d", values, c.values)
	}
	return nil
}

func (h *pageHeader) check(c chunk, body int64) error {
	switch {
	case h.compressed < 0 || h.uncompressed < 0 || h.values < 0:
		return errors.New("a size is negative")
	case body+int64(h.compressed) > c.end:
		return errors.New("it reaches beyond the file's data")
	case int64(h.uncompressed) > c.maxPage || int64(h.compressed) > c.maxPage:
		return fmt.Errorf("%w: %d, the limit is %d", errPageSize, max(h.compressed, h.uncompressed), c.maxPage)
	case h.kind == pageDictionary && int64(h.values) > 8*int64(h.uncompressed):
		return fmt.Errorf("a dictionary of %d bytes cannot have %d values", h.uncompressed, h.values)
	case int64(h.values) > c.values && h.kind != pageDictionary:
		return errors.New("it has more values than its column")
	}
	return nil
}

func checkCRC(r io.ReaderAt, at, size int64, want uint32) error {
	sum := crc32.NewIEEE()
	if _, err := io.CopyN(sum, io.NewSectionReader(r, at, size), size); err != nil {
		return err
	}
	if sum.Sum32() != want {
		return errors.New("its checksum is wrong: the file is damaged")
	}
	return nil
}

// pageHeader is what is needed of Parquet's PageHeader.
type pageHeader struct {
	kind                     int32
	uncompressed, compressed int32
	crc                      int32
	hasCRC                   bool
	values                   int32
}

// readPageHeader returns the header at a place and its size in bytes.
func readPageHeader(r io.ReaderAt, at, end int64) (pageHeader, int64, error) {
	for guess := int64(headerGuess); ; guess *= 8 {
		buf := make([]byte, max(0, min(guess, end-at)))
		if n, err := r.ReadAt(buf, at); err != nil && (err != io.EOF || n < len(buf)) {
			return pageHeader{}, 0, err
		}
		p := thriftParser{rest: buf}
		h := p.pageHeader()
		switch {
		case !p.bad && !p.short:
			return h, int64(len(buf) - len(p.rest)), nil
		case p.bad:
			return h, 0, errors.New("it is malformed")
		case int64(len(buf)) < guess || guess > headerLimit:
			return h, 0, io.ErrUnexpectedEOF
		}
	}
}
