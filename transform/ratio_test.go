//go:build unix

package transform

import (
	"encoding/json"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/analytics-go/v3"
)

// BenchmarkRatio compares rebuilding with encoding/json of the same events as
// analytics-go tracks that are already there. Both take turns and are measured
// in the CPU time of the process, the garbage collector's included: neither begins
// with what the other left to it, and a turn is long enough to collect its own
// garbage. Events are rebuilt as in a run, into memory that is used again from
// chunk to chunk. The medians count, so that what else the machine does changes little.
func BenchmarkRatio(b *testing.B) {
	chats, builder, tally := supportChats(1000), newBuilder(b, Options{Namespace: "support", Label: "prod"}), NewTally()
	arena := NewArena()
	const (
		passes      = 8     // in a turn
		chunkEvents = 5_000 // of a run
	)
	var tracks []analytics.Track
	for _, e := range supportEvents(b) {
		tracks = append(tracks, track(&e))
	}
	var build, marshal []time.Duration
	for b.Loop() {
		runtime.GC()
		start := cpuTime(b)
		builder.Use(arena)
		for range passes {
			events := 0
			for i := range chats {
				events += len(builder.Build(&chats[i], Known{}, &tally).Events)
				if events > chunkEvents {
					arena.Reset()
					events = 0
				}
			}
		}
		build = append(build, cpuTime(b)-start)
		runtime.GC()
		start = cpuTime(b)
		for range passes {
			for i := range tracks {
				if _, err := json.Marshal(tracks[i]); err != nil {
					b.Fatal(err)
				}
			}
		}
		marshal = append(marshal, cpuTime(b)-start)
	}
	perEvent := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)/2]) / float64(passes*len(tracks))
	}
	b.ReportMetric(perEvent(build), "build-cpu-ns/event")
	b.ReportMetric(perEvent(marshal), "json-cpu-ns/event")
	b.ReportMetric(perEvent(marshal)/perEvent(build), "times-faster")
	b.ReportMetric(6, "times-wanted")
	b.ReportMetric(0, "ns/op")
}

// cpuTime is the CPU time that the process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
