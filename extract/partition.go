package extract

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Rows of one conversation lie anywhere in a source's files. To bring them
// together, every row is put as a record into one of several partitions by the
// top bits of its conversation's hash; each partition fits into memory, is
// loaded on its own, sorted and cut into conversations:
//
//	rows ─▶ writers ─▶ partition 00… ─▶ sort ─▶ conversations with hashes 00…
//	                   partition 01… ─▶ sort ─▶ conversations with hashes 01…
//
// Partitions are kept in memory as long as the budget lasts; the rest goes to
// a temporary file. A partition that turns out too large is split by further
// bits. As all of this goes by the order of hashes, the conversations come in
// the same order however many partitions there are.

// limits are the sizes that partitioning keeps to, in bytes.
type limits struct {
	budget int64 // of all blocks that are kept in memory
	block  int   // what a writer collects before it hands it over
	load   int64 // a partition that is loaded at once
}

const defaultMemory = 256 << 20

// maxBlock is the size of a block, in bytes, beyond which larger ones are no faster.
const maxBlock = 128 << 10

// limitsFor divides the memory that a source may use. Five sixteenths of it are for
// blocks; where there is much data so many are open that little is left for those
// that are kept. Most is left to decoding and to the garbage collector, which lets
// the heap grow beyond what is in use.
func limitsFor(memory int64, writers int, partitionBits int) limits {
	open := int64(writers) << partitionBits
	block := min(max(memory/4/open, 512), maxBlock)
	return limits{
		budget: max(memory/16*5-open*block, 0),
		block:  int(block),
		load:   max(memory/8, 1<<10),
	}
}

// partitionBitsFor chooses the number of partitions for an amount of data. Blocks
// become small where there are many: more than 512 there are only where partitions
// could not be loaded at once if there is twice as much data.
func partitionBitsFor(memory, data int64) int {
	if data/32 > memory {
		return 10
	}
	return min(bits.Len64(uint64(data/max(memory/32, 1<<10))), 9)
}

// inCache reports whether the system is taken to keep a temporary file of so much
// data in its cache: writing to that, and reading from it, is faster than
// compressing. More goes to the disk, which is slower. Who lets a source use little
// memory has little.
func inCache(memory, data int64) bool { return data/4 <= min(memory, defaultMemory) }

// partition is the records of a range of hashes.
type partition struct {
	mu       sync.Mutex
	blocks   [][]byte
	extents  []extent
	size     int64
	rows     int64
	min, max uint64 // hashes
}

// store holds partitions by the bits of the hash that follow the first skip.
type store struct {
	limits limits
	skip   int
	bits   int
	parts  []partition
	used   *atomic.Int64 // memory of blocks, shared with the stores of splits
	spill  *spillFile
}

func newStore(l limits, skip, bits int, used *atomic.Int64, spill *spillFile) *store {
	s := &store{limits: l, skip: skip, bits: bits, parts: make([]partition, 1<<bits), used: used, spill: spill}
	for i := range s.parts {
		s.parts[i].min = math.MaxUint64
	}
	return s
}

// storeWriter collects the records of one goroutine.
type storeWriter struct {
	*store
	open []openBlock
}

type openBlock struct {
	buf      []byte
	rows     int64
	min, max uint64
}

func (s *store) writer() *storeWriter { return &storeWriter{s, make([]openBlock, len(s.parts))} }

func (w *storeWriter) append(record []byte) error {
	hash := recordHash(record)
	i := hash << w.skip >> 1 >> (63 - w.bits)
	b := &w.open[i]
	if len(b.buf)+len(record) > cap(b.buf) {
		if err := w.flush(int(i)); err != nil {
			return err
		}
		if cap(b.buf) < len(record) {
			b.buf = make([]byte, 0, max(len(record), w.limits.block))
		}
	}
	if b.rows == 0 {
		b.min, b.max = hash, hash
	}
	b.buf = append(b.buf, record...)
	b.rows++
	b.min, b.max = min(b.min, hash), max(b.max, hash)
	return nil
}

// flush hands a block over to its partition: as it is while the budget lasts,
// else to the temporary file.
func (w *storeWriter) flush(i int) error {
	b := &w.open[i]
	if b.rows == 0 {
		return nil
	}
	var x extent
	kept := w.keep(int64(cap(b.buf)))
	if !kept {
		var err error
		if x, err = w.spill.write(b.buf); err != nil {
			return err
		}
	}
	p := &w.parts[i]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size += int64(len(b.buf))
	p.rows += b.rows
	p.min, p.max = min(p.min, b.min), max(p.max, b.max)
	if kept {
		p.blocks = append(p.blocks, b.buf)
		*b = openBlock{}
		return nil
	}
	p.extents = append(p.extents, x)
	*b = openBlock{buf: b.buf[:0]}
	return nil
}

// keep reserves memory, if there is some left.
func (s *store) keep(size int64) bool {
	if s.used.Add(size) <= s.limits.budget {
		return true
	}
	s.used.Add(-size)
	return false
}

func (w *storeWriter) close() error {
	for i := range w.open {
		if err := w.flush(i); err != nil {
			return err
		}
	}
	return nil
}

// drain calls f with every block of a partition, which is empty afterwards.
func (s *store) drain(p *partition, f func(block []byte) error) error {
	blocks, extents := p.blocks, p.extents
	p.blocks, p.extents = nil, nil
	for i, b := range blocks {
		s.used.Add(-int64(cap(b)))
		blocks[i] = nil
		if err := f(b); err != nil {
			return err
		}
	}
	for _, x := range extents {
		b, err := s.spill.read(x)
		if err != nil {
			return err
		}
		if err := f(b); err != nil {
			return err
		}
	}
	return nil
}

// tooLarge reports whether a partition has to be split before it is loaded.
// One conversation cannot be split.
func (s *store) tooLarge(p *partition) bool { return p.size > s.limits.load && p.min < p.max }

// split distributes a partition by the first bits in which its hashes differ.
func (s *store) split(p *partition) (*store, error) {
	skip := bits.LeadingZeros64(p.min ^ p.max)
	wanted := bits.Len64(uint64(p.size / s.limits.load))
	sub := newStore(s.limits, skip, min(max(wanted+1, 1), 8, 64-skip), s.used, s.spill)
	w := sub.writer()
	err := s.drain(p, func(block []byte) error {
		for len(block) > 0 {
			size := recordSize(block)
			if err := w.append(block[:size]); err != nil {
				return err
			}
			block = block[size:]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sub, w.close()
}

// entry is where a record of a loaded partition is.
type entry struct {
	hash  uint64
	block uint32
	at    uint32
}

// loaded is a partition in memory, sorted.
type loaded struct {
	blocks  [][]byte
	entries []entry
}

func (l *loaded) record(e entry) []byte { return l.blocks[e.block][e.at:] }

func (s *store) load(p *partition) (*loaded, error) {
	l := &loaded{entries: make([]entry, 0, p.rows)}
	err := s.drain(p, func(block []byte) error {
		n := uint32(len(l.blocks))
		l.blocks = append(l.blocks, block)
		for at := 0; at < len(block); at += recordSize(block[at:]) {
			l.entries = append(l.entries, entry{recordHash(block[at:]), n, uint32(at)})
		}
		return nil
	})
	l.entries = sortEntries(l.entries, p.min, p.max)
	return l, err
}

// sortEntries returns entries with hashes from low to high sorted by their hashes,
// which are spread evenly: it puts each where it belongs but for a few places, and
// then sorts what is near.
func sortEntries(entries []entry, low, high uint64) (sorted []entry) {
	shift := max(0, bits.Len64(high-low)-bits.Len(uint(len(entries))))
	starts := make([]uint32, (high-low)>>shift+2)
	for _, e := range entries {
		starts[(e.hash-low)>>shift+1]++
	}
	for i := range starts[1:] {
		starts[i+1] += starts[i]
	}
	sorted = make([]entry, len(entries))
	for _, e := range entries {
		at := &starts[(e.hash-low)>>shift]
		sorted[*at] = e
		*at++
	}
	for from := 0; from < len(sorted); {
		to := int(starts[(sorted[from].hash-low)>>shift])
		slices.SortFunc(sorted[from:to], func(a, b entry) int { return cmp.Compare(a.hash, b.hash) })
		from = to
	}
	return sorted
}

// run returns the entries from i on that have one hash. They nearly always
// belong to one conversation: looking at the ids of all only to find out would
// cost more than sorting the hashes.
func (l *loaded) run(i int) []entry {
	end := i + 1
	for end < len(l.entries) && l.entries[end].hash == l.entries[i].hash {
		end++
	}
	return l.entries[i:end]
}

// untangle sorts a run by id and returns the entries of the first one.
func (l *loaded) untangle(run []entry) []entry {
	id := func(e entry) string { return recordID(l.record(e)) }
	slices.SortFunc(run, func(a, b entry) int { return strings.Compare(id(a), id(b)) })
	end := slices.IndexFunc(run, func(e entry) bool { return id(e) != id(run[0]) })
	return run[:end]
}
