package examples

import (
	"sort"
	"sync"
	"time"
)

// Chats start between these days: late enough that no sent time lies before
// 2025, early enough that none lies after it.
var (
	firstDay = time.Date(2025, 1, 2, 0, 0, 0, 0, time.UTC)
	lastDay  = time.Date(2025, 12, 18, 0, 0, 0, 0, time.UTC)
)

// busy is how many chats start in each hour of a day (UTC), in proportion.
var busy = [24]float64{2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 10, 11, 12, 12, 11, 10, 10, 9, 8, 6, 4, 3}

// startOf is when a chat starts. Chats with a greater index start later. The
// conversions to float64, here and below, keep compilers from fusing operations,
// which rounds differently from machine to machine.
func startOf(index, conversations int, seed uint64) time.Time {
	jitter := random(seed, streamStart, uint64(index)).Float64()
	hours := calendar()
	at := float64((float64(index) + jitter) / float64(conversations) * hours[len(hours)-1])
	h := sort.SearchFloat64s(hours, at)
	before := 0.0
	if h > 0 {
		before = hours[h-1]
	}
	part := (at - before) / (hours[h] - before)
	return firstDay.Add(time.Duration(h) * time.Hour).Add(time.Duration(part * float64(time.Hour))).Truncate(time.Millisecond)
}

// calendar holds for each hour between the first and the last day how much of
// the year's chats has started at its end, in proportion.
var calendar = sync.OnceValue(func() []float64 {
	var sums []float64
	sum := 0.0
	for t := firstDay; t.Before(lastDay); t = t.Add(time.Hour) {
		sum += float64(busy[t.Hour()] * busyDay(t))
		sums = append(sums, sum)
	}
	return sums
})

// busyDay is how busy a day is: a shop that grows, quiet weekends, and a rush
// at the end of November.
func busyDay(t time.Time) float64 {
	f := 1 + float64(0.3*float64(t.YearDay())/365)
	if weekend(t) {
		f *= 0.45
	}
	if t.Month() == time.November && t.Day() >= 24 {
		f *= 2
	}
	return f
}

func weekend(t time.Time) bool {
	return t.Weekday() == time.Saturday || t.Weekday() == time.Sunday
}
