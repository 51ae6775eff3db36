package jobs

import "strings"

// distribution is a histogram as the page shows it.
type distribution struct {
	ID, Title   string
	N           int
	Median, P90 string
	Bars        []distributionBar
	Height      int // of the chart, in pixels
}

// distributionBar is a bucket's bar, with its place in pixels.
type distributionBar struct {
	Label       string
	Count       int
	Share       string
	Width       string // in percent
	Y, TextLine int
}

// barStep is how many pixels a bar takes with the space after it.
const barStep = 26

// newDistribution returns the buckets from the first to the last that is not
// empty; nil if all are.
func newDistribution(id, title string, h *histogram) *distribution {
	if h.n == 0 {
		return nil
	}
	first, last, most := len(histogramBuckets), 0, 0
	for b := range histogramBuckets {
		if n := h.bucket(b); n > 0 {
			first, last, most = min(first, b), b, max(most, n)
		}
	}
	d := &distribution{ID: id, Title: title, N: h.n, Median: durationText(h.percentile(50)), P90: durationText(h.percentile(90))}
	for b := first; b <= last; b++ {
		n, y := h.bucket(b), len(d.Bars)*barStep
		d.Bars = append(d.Bars, distributionBar{
			Label: bucketLabel(b), Count: n, Share: share(n, h.n),
			// The rest is room for the number beside the longest bar.
			Width: percent(n*58, most*100), Y: y, TextLine: y + 14,
		})
	}
	d.Height = len(d.Bars) * barStep
	return d
}

// sameUnit are bounds in the unit of the bound before them.
var sameUnit = map[string]string{"1 min": "60 s", "1 h": "60 min", "1 d": "24 h"}

// bucketLabel returns a bucket's bounds, the unit once if both have the same.
func bucketLabel(b int) string {
	from := durationText(histogramBuckets[b].from)
	if b == len(histogramBuckets)-1 {
		return "≥ " + from
	}
	to := durationText(histogramBuckets[b+1].from)
	if same, ok := sameUnit[to]; ok {
		to = same
	}
	number, unit, _ := strings.Cut(from, " ")
	if _, other, _ := strings.Cut(to, " "); unit == other {
		from = number
	}
	if number == "0" {
		return "< " + to
	}
	return from + " – " + to
}
