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
