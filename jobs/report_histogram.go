package jobs

import (
	"sort"
	"time"
)

// histogramBuckets are durations that are read at a glance, each from a bound
// up to the next, about two or three times longer. For percentiles a bucket has
// parts, of less than 3 % of its bound and a second at least: what is below two
// minutes is exact.
var histogramBuckets = [...]struct{ from, part time.Duration }{
	{0, time.Second}, {10 * time.Second, time.Second}, {30 * time.Second, time.Second},
	{time.Minute, time.Second}, {2 * time.Minute, 2 * time.Second}, {5 * time.Minute, 5 * time.Second},
	{15 * time.Minute, 15 * time.Second}, {30 * time.Minute, 30 * time.Second},
	{time.Hour, time.Minute}, {2 * time.Hour, 2 * time.Minute}, {4 * time.Hour, 5 * time.Minute}, {8 * time.Hour, 10 * time.Minute},
	{oneDay, 30 * time.Minute}, {3 * oneDay, 2 * time.Hour}, {7 * oneDay, 4 * time.Hour}, {30 * oneDay, 12 * time.Hour},
}

const (
	oneDay = 24 * time.Hour
	// The parts of the last bucket reach up to here. What is more is in its last part.
	lastBound = 120 * oneDay
	// No bucket has more parts.
	mostParts = 180
)

// histogram counts durations, in whole seconds. Its size is fixed. The zero
// histogram is empty.
type histogram struct {
	buckets [len(histogramBuckets)][mostParts]int
	n       int
}

// bucketOf returns the bucket that a duration falls into.
func bucketOf(d time.Duration) int {
	return sort.Search(len(histogramBuckets), func(i int) bool { return histogramBuckets[i].from > d }) - 1
}

// add counts a duration. One below zero counts as zero.
func (h *histogram) add(d time.Duration) {
	d = min(max(d, 0), lastBound-1)
	b := bucketOf(d)
	h.buckets[b][(d-histogramBuckets[b].from)/histogramBuckets[b].part]++
	h.n++
}

// bucket returns how many durations fell into a bucket.
func (h *histogram) bucket(b int) int {
	n := 0
	for _, k := range h.buckets[b] {
		n += k
	}
	return n
}

// percentile returns the duration that so many percent do not exceed, rounded
// down to the start of its part. It is 0 if there are none.
func (h *histogram) percentile(percent int) time.Duration {
	rank, seen := max(1, (h.n*percent+99)/100), 0
	for b, parts := range h.buckets {
		for i, k := range parts {
			if seen += k; seen >= rank {
				return histogramBuckets[b].from + time.Duration(i)*histogramBuckets[b].part
			}
		}
	}
	return 0
}
