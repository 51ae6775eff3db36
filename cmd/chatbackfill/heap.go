package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The heap grows between two collections by gcPercent of what is in use, unless
// GOGC says otherwise, and by leastGrowth at least. Most of what a run holds is
// used again instead of being left to the collector; memory matters more. But
//
//   - a share of a small heap would be collected all the time;
//   - memory that the heap has had lately is still there: it grows to nearly that
//     size again, but at most to six times what is in use;
//   - where rows of large exports are put together, more than smallHeap is in use:
//     the heap may be as large as largeHeap then, for a collection costs as much
//     with little to be freed.
//
// Until a collection has set it anew the share is that of the one before, and a
// large share of a heap that is no longer small is too much.
const (
	gcPercent   = 40
	leastGrowth = 24 << 20
	smallHeap   = 64 << 20
	largeHeap   = 208 << 20
)

// growth is set anew by every collection, which finds it unused.
type growth struct {
	live []metrics.Sample
	size uint64 // to which the heap grows until the next collection
}

// limitHeap sets how far the heap grows from now on.
func limitHeap() {
	if os.Getenv("GOGC") == "" {
		(&growth{live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}).set()
	}
}

func (g *growth) set() {
	metrics.Read(g.live)
	live := max(g.live[0].Value.Uint64(), 4<<20) // below which a heap has a size of its own
	g.size = max(live+live*gcPercent/100, live+leastGrowth, min(g.size-g.size/64, 6*live))
	if live > smallHeap {
		g.size = max(g.size, min(3*live-2*smallHeap, largeHeap))
	}
	debug.SetGCPercent(int(100 * (g.size - live) / live))
	runtime.SetFinalizer(g, (*growth).set)
}
