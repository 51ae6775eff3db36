package extract

import (
	"slices"
	"strings"
	"unicode"
)

// maxWords is how many values a column of roles has at most.
const maxWords = 20

// profile is what a sample of a column shows.
type profile struct {
	path   string
	name   string // in snake case
	values []Value

	filled   int          // rows that have a value
	distinct int          // values
	types    map[Type]int // rows by the types of their values
	texts    int          // rows with a text
	spaced   int          // texts with a space in them
	length   int          // bytes of all texts
	times    int          // rows with a plausible time
	unit     string       // of times that are numbers
	counts   map[string]int
}

func profileOf(col *SampledColumn) *profile {
	c := &profile{path: col.Path, name: snake(col.Path), values: col.Values, types: map[Type]int{}, counts: map[string]int{}}
	for _, v := range col.Values {
		if isBlank(v) {
			continue
		}
		text := plainText(v)
		c.filled++
		c.types[v.Type]++
		c.counts[text]++
		if v.Type == TypeText {
			c.texts++
			c.length += len(text)
			if strings.ContainsAny(text, " \n") {
				c.spaced++
			}
		}
		c.time(v)
	}
	c.distinct = len(c.counts)
	return c
}

// time counts a value that is a plausible time.
func (c *profile) time(v Value) {
	if v.Type == TypeText && len(v.Str) > 40 {
		return
	}
	at, ok := timeReader{}.time(v)
	if !ok || at < earliest || at > latestPlausible {
		return
	}
	c.times++
	if v.Type == TypeInt && c.unit == "" {
		for _, unit := range []string{"s", "ms", "us", "ns"} {
			if timeUnits[unit] == unitBySize(float64(v.Int)) {
				c.unit = unit
			}
		}
	}
}

// latestPlausible is later than any chat: a number beyond it is no time.
var latestPlausible = TimeOf(zeroDay.AddDate(80, 0, 0))

// words are the distinct values, the most frequent ones first.
func (c *profile) words() []string { return byCount(c.counts) }

func plainText(v Value) string { return string(appendText(nil, v)) }

func isID(c *profile) bool {
	for t := range c.types {
		if !takes(classID, t, false) {
			return false
		}
	}
	return c.spaced*10 <= c.filled && c.length <= 200*c.filled
}

func isText(c *profile) bool { return c.texts == c.filled }

func isNumber(c *profile) bool {
	return c.types[TypeInt]+c.types[TypeFloat]+c.types[TypeDecimal]+c.types[TypeUint] == c.filled
}

func isFlag(c *profile) bool {
	return c.types[TypeBool]+c.types[TypeInt]+c.types[TypeInstant]+c.types[TypeWallTime] == c.filled || c.times == c.filled
}

// snake spells a name as snake_case; what separates the parts of paths too.
func snake(name string) string {
	var b strings.Builder
	var last rune
	letters := []rune(strings.TrimPrefix(name, rowName+"."))
	for i, r := range letters {
		switch {
		case unicode.IsUpper(r):
			next := i+1 < len(letters) && unicode.IsLower(letters[i+1])
			if unicode.IsLower(last) || unicode.IsDigit(last) || unicode.IsUpper(last) && next {
				b.WriteByte('_')
			}
			b.WriteRune(unicode.ToLower(r))
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
		last = r
	}
	return strings.Trim(strings.ReplaceAll(b.String(), "__", "_"), "_")
}

// anythings are names that say too little when they come after another word:
// somebody's name is that of an author or of a team.
var anythings = []string{"id", "name", "email", "type", "time", "date", "ts", "index", "order", "from", "agent", "user", "created", "updated", "event", "action", "in", "out"}

// named says how well a column's name goes with a list of names, the best ones
// first: 100 and less for one of them, 70 and less for one that ends in it, 0
// for none. The names of elements of a list go before those of their row.
func named(c *profile, names []string) int {
	best := 0
	for i, name := range names {
		score := 0
		switch {
		case c.name == name:
			score = 100 - i
		case strings.HasSuffix(c.name, "_"+name) && !slices.Contains(anythings, name):
			score = 70 - i
		}
		best = max(best, score)
	}
	if best > 0 && strings.HasPrefix(c.path, rowName+".") {
		best -= 15
	}
	return best
}
