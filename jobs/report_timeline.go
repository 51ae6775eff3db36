package jobs

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// timeline is what happened over time: two charts over the same steps.
type timeline struct {
	Unit          string // day, week, month or year
	Period        string
	Steps         []timelineStep
	Conversations columnChart
	Messages      columnChart
}

// timelineStep is a row of the table behind the charts.
type timelineStep struct {
	Name                    string
	Conversations, Messages int
}

// scale divides time into steps.
type scale struct {
	unit  string
	most  int // steps that fit into a chart
	start func(time.Time) time.Time
	next  func(time.Time) time.Time
	name  string // format of a step's name
	label string // format below the chart
}

// scales are all scales, the finest first. Weeks begin on Monday.
var scales = []scale{
	{"day", 62, dayStart, func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }, "2 Jan 2006", "2 Jan"},
	{"week", 62, weekStart, func(t time.Time) time.Time { return t.AddDate(0, 0, 7) }, "2 Jan 2006", "2 Jan"},
	{"month", 120, monthStart, func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }, "Jan 2006", "Jan 2006"},
	{"year", 600, yearStart, func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }, "2006", "2006"},
}

func dayStart(t time.Time) time.Time { return t }

func weekStart(t time.Time) time.Time { return t.AddDate(0, 0, -int(t.Weekday()+6)%7) }

func monthStart(t time.Time) time.Time { return t.AddDate(0, 0, 1-t.Day()) }

func yearStart(t time.Time) time.Time { return monthStart(t).AddDate(0, 1-int(t.Month()), 0) }

// steps returns where the steps between two days begin.
func (s *scale) steps(first, last time.Time) []time.Time {
	var steps []time.Time
	for at := s.start(first); !at.After(last) && len(steps) <= s.most; at = s.next(at) {
		steps = append(steps, at)
	}
	return steps
}

// timeline returns what happened by day, or by something longer if there are
// many; nil if nothing did.
func (r *Report) timeline() *timeline {
	days := slices.Sorted(maps.Keys(r.days))
	if len(days) == 0 {
		return nil
	}
	first, last := dayTime(days[0]), dayTime(days[len(days)-1])
	s, starts := scaleFor(first, last)
	t := &timeline{Unit: s.unit, Period: period(first, last), Steps: make([]timelineStep, len(starts))}
	for i, start := range starts {
		t.Steps[i].Name = start.Format(s.name)
	}
	for _, n := range days {
		i, found := slices.BinarySearchFunc(starts, dayTime(n), time.Time.Compare)
		if !found {
			i--
		}
		t.Steps[i].Conversations += r.days[n].conversations
		t.Steps[i].Messages += r.days[n].messages
	}
	chart := columnChart{Unit: t.Unit, Period: t.Period, Labels: axisLabels(starts, s.label)}
	t.Conversations, t.Messages = chart, chart
	t.Conversations.ID, t.Conversations.Title = "conversations", "Conversations started"
	t.Conversations.draw(t.Steps, func(s timelineStep) int { return s.Conversations })
	t.Messages.ID, t.Messages.Title = "messages", "Messages"
	t.Messages.draw(t.Steps, func(s timelineStep) int { return s.Messages })
	return t
}

func dayTime(n int) time.Time { return time.Unix(int64(n)*86_400, 0).UTC() }

// scaleFor returns the finest scale whose steps fit into a chart.
func scaleFor(first, last time.Time) (scale, []time.Time) {
	for _, s := range scales {
		if steps := s.steps(first, last); len(steps) <= s.most {
			return s, steps
		}
	}
	s := scales[len(scales)-1]
	return s, s.steps(first, last)
}

// axisLabel is a label below a chart.
type axisLabel struct {
	X    string // its middle, in percent
	Text string
}

// axisLabels labels about four steps: so many fit on a telephone. A label in the
// middle of the last steps would stand out of the chart.
func axisLabels(starts []time.Time, format string) []axisLabel {
	step := (len(starts) + 3) / 4
	var labels []axisLabel
	for i := 0; i < len(starts); i += step {
		middle := (float64(i) + 0.5) / float64(len(starts))
		if middle <= 0.93 {
			labels = append(labels, axisLabel{length(100 * middle), starts[i].Format(format)})
		}
	}
	return labels
}

func length(percent float64) string { return strconv.FormatFloat(percent, 'f', 2, 64) + "%" }

// The height of a column chart's plot, in pixels.
const plotHeight = 150

// columnChart is a chart with a column for each step.
type columnChart struct {
	ID, Title    string
	Unit, Period string
	Total        int
	Peak         int    // the highest count
	Most         string // the step that has it
	Width        string // of a column, in percent
	Columns      []column
	Lines        []gridLine
	Labels       []axisLabel
}

type column struct {
	X, Y, Height string // X in percent, the others in pixels
	Name         string
	Count        int
}

type gridLine struct {
	Y    string // in pixels
	Text string
}

// draw makes a column of each step's count, and grid lines at round numbers.
func (c *columnChart) draw(steps []timelineStep, count func(timelineStep) int) {
	for _, s := range steps {
		c.Total += count(s)
		if count(s) > c.Peak {
			c.Peak, c.Most = count(s), s.Name
		}
	}
	tick := tickFor(c.Peak)
	top := max(tick, (c.Peak+tick-1)/tick*tick)
	for n := 0; n <= top; n += tick {
		c.Lines = append(c.Lines, gridLine{pixels(top-n, top), comma(n)})
	}
	slot := 100 / float64(len(steps))
	width := min(0.8*slot, 8)
	c.Width = length(width)
	for i, s := range steps {
		if n := count(s); n > 0 {
			x := (float64(i)+0.5)*slot - width/2
			c.Columns = append(c.Columns, column{length(x), pixels(top-n, top), pixels(n, top), s.Name, n})
		}
	}
}

func pixels(n, top int) string {
	return strconv.FormatFloat(plotHeight*float64(n)/float64(top), 'f', 1, 64)
}

// tickFor returns the distance of grid lines: 1, 2 or 5 times a power of ten,
// so that there are at most six.
func tickFor(peak int) int {
	for power := 1; ; power *= 10 {
		for _, n := range []int{1, 2, 5} {
			if n*power*5 >= peak {
				return n * power
			}
		}
	}
}
