package extract

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Entries are sorted as a library sorts them, be their hashes spread or not.
func TestSortEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Uint64().Draw(t, "low")
		width := rapid.SampledFrom([]uint64{0, 1, 7, 1 << 20, math.MaxUint64 - low}).Draw(t, "width")
		high := low + min(width, math.MaxUint64-low)
		hashes := rapid.SliceOfN(rapid.Uint64Range(low, high), 1, 200).Draw(t, "hashes")
		var entries []entry
		for i, h := range hashes {
			entries = append(entries, entry{hash: h, at: uint32(i)})
		}
		want := slices.Clone(entries)
		order := func(a, b entry) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.at, b.at)) }
		slices.SortFunc(want, order)
		got := sortEntries(entries, slices.Min(hashes), slices.Max(hashes))
		if !slices.IsSortedFunc(got, func(a, b entry) int { return cmp.Compare(a.hash, b.hash) }) {
			t.Fatalf("not sorted: %v", got)
		}
		slices.SortFunc(got, order) // equal hashes come in any order
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// TestLimits: whatever memory there is and however much data, blocks take no more
// of it than their share, and partitions of twice as much data as was estimated can
// be loaded at once, as long as there are not too many of them.
func TestLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		memory := rapid.Int64Range(1<<20, 64<<30).Draw(t, "memory")
		data := rapid.Int64Range(0, 200*memory).Draw(t, "data")
		writers := rapid.IntRange(1, 4).Draw(t, "writers")
		bits := partitionBitsFor(memory, data)
		l := limitsFor(memory, writers, bits)
		open := int64(writers) << bits * int64(l.block)
		if least := int64(writers) << bits * 512; l.budget+open > max(memory/16*5, least) {
			t.Errorf("%d partitions: blocks take %d of %d", 1<<bits, l.budget+open, memory)
		}
		if l.block > maxBlock {
			t.Errorf("a block has %d bytes", l.block)
		}
		if bits < 10 && 2*data>>bits > l.load {
			t.Errorf("%d partitions of %d bytes cannot be loaded at once", 1<<bits, data)
		}
	})
}
