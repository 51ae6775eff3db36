package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"github.com/chatbackfill/chatbackfill/extract"
)

// The heap grows between two collections by gcPercent of what is in use, unless
// GOGC says otherwise, and by leastGrowth at least. Most of what a run holds is
// used again instead of being left to the collector; memory matters more. But
//
//   - a share of a small heap would be collected all the time;
//   - memory that the heap has had lately is still there: it grows to nearly that
//     size again, but at most to twice what is in use;
//   - where rows of Parquet are put together, a collection costs as much with
//     little to be freed: with more than smallHeap in use the heap grows to most of
//     what source.parquet.memory allows, and stays near it for as long as a third
//     of that is in use.
//
// Until a collection has set it anew the share is that of the one before, and a
// large share of a heap that is no longer small is too much.
const (
	gcPercent   = 40
	leastGrowth = 24 << 20
	smallHeap   = 64 << 20
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
	allowed := uint64(extract.MemoryAllowed()) / 16 * 13
	lately := min(g.size-g.size/32, max(2*live, min(3*live, allowed)))
	g.size = max(live+live*gcPercent/100, live+leastGrowth, lately, min(max(3*live, 2*smallHeap)-2*smallHeap, allowed))
	debug.SetGCPercent(int(100 * (g.size - live) / live))
	runtime.SetFinalizer(g, (*growth).set)
}
