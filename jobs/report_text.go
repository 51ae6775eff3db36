package jobs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

func comma(n int) string { return humanize.Comma(int64(n)) }

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// countOf returns a number and its noun.
func countOf(n int, one, many string) string { return comma(n) + " " + plural(n, one, many) }

// percent returns a part of a whole as SVG takes a length.
func percent(part, whole int) string {
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 2, 64) + "%"
}

// share returns a part of a whole for a person to read.
func share(part, whole int) string {
	switch p := 100 * float64(part) / float64(max(whole, 1)); {
	case part == 0:
		return "0 %"
	case p < 0.1:
		return "< 0.1 %"
	case p > 99.9 && part < whole:
		return "> 99.9 %"
	case p < 10 && part < whole:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	default:
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	}
}

// period returns two days, or one if they are the same.
func period(from, to time.Time) string {
	first, last := from.UTC().Format("2 Jan 2006"), to.UTC().Format("2 Jan 2006")
	switch {
	case first == last:
		return last
	case from.UTC().Year() == to.UTC().Year():
		first = from.UTC().Format("2 Jan")
	}
	return first + " – " + last
}

// durationText returns a duration in its two largest units.
func durationText(d time.Duration) string {
	seconds := int64(d / time.Second)
	units := []struct {
		name string
		size int64
	}{{"d", 86_400}, {"h", 3_600}, {"min", 60}, {"s", 1}}
	for i, unit := range units {
		if seconds < unit.size {
			continue
		}
		text := fmt.Sprintf("%d %s", seconds/unit.size, unit.name)
		if i+1 < len(units) {
			if rest := seconds % unit.size / units[i+1].size; rest > 0 {
				text += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "0 s"
}

var plainWord = regexp.MustCompile(`^[\w./:@%+=,-]+$`)

// shellWord quotes a word for a shell if it has to be.
func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
