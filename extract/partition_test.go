package extract

import (
	"testing"

	"pgregory.net/rapid"
)

// TestLimits: whatever memory there is and however much data, blocks take no more
// of it than their share, and partitions can be loaded at once as long as there are
// not too many of them.
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
		if bits < 10 && data>>bits > l.load {
			t.Errorf("%d partitions of %d bytes cannot be loaded at once", 1<<bits, data)
		}
	})
}
