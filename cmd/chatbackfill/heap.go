package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The heap grows between two collections by gcPercent of what is in use, unless
// GOGC says otherwise, and by leastGrowth at least. Most of what a run holds is
// used again instead of being left to the collector; memory matters more. But a
// share of a small heap would be collected all the time, and memory that the heap
// has had lately is still there: it grows to nearly that size again, but at most
// to three times what is in use. Until a collection has set it anew the share is that of
// the one before, and a large share of a heap that is no longer small is too much.
const (
	gcPercent   = 40
	leastGrowth = 24 << 20
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
	g.size = max(live+live*gcPercent/100, live+leastGrowth, min(g.size-g.size/32, 3*live))
	debug.SetGCPercent(int(100 * (g.size - live) / live))
	runtime.SetFinalizer(g, (*growth).set)
}
