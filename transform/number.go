package transform

import (
	"strings"
	"unicode/utf8"
)

// Payment cards and telephone numbers are groups of digits. A number is taken
// whole or not at all: one that goes on behind a hyphen, a point or a slash, or
// stands beside a letter, a # or a currency sign, is something else.

const (
	minPhoneDigits = 8
	maxGroups      = 10
	maxDigits      = 19
)

// digits are the groups of digits from a place in a text on, as many as may
// belong to one number.
type digits struct {
	text   [maxDigits]byte   // all digits
	length [maxGroups]int    // of each group
	end    [maxGroups]int    // of each group, in the text
	sep    [maxGroups]string // what stands before each group; of the first a + or bracket
	n      int               // groups
	total  int               // digits
}

// findNumber finds a payment card or a telephone number.
func findNumber(s string, start int) found {
	for i := start; i < len(s); {
		if !isDigit(s[i]) {
			i++
			continue
		}
		from := prefixStart(s, start, i)
		if from > start && !begins(s, from) {
			i = groupEnd(s, i)
			continue
		}
		d := scan(s, from, i)
		if n, label := d.match(s); n > 0 {
			to := d.end[n-1]
			if s[from] == '(' && !strings.Contains(s[from:to], ")") {
				from++
			}
			return found{from, to, label}
		}
		i = d.skip(s, i)
	}
	return nothing
}

// prefixStart returns where the + and the bracket before the digit at i begin.
func prefixStart(s string, start, i int) int {
	for n := 0; n < 2 && i > start && (s[i-1] == '+' || s[i-1] == '('); n++ {
		i--
	}
	return i
}

// begins reports whether a number can begin at from.
func begins(s string, from int) bool {
	r := before(s, from)
	if isWord(r) || strings.ContainsRune("#$€£¥+", r) {
		return false
	}
	if !strings.ContainsRune("-‐‑–./,:)'", r) {
		return true
	}
	r2 := before(s, from-utf8.RuneLen(r))
	if r == ':' || r == '.' || r == ',' || r == ')' || r == '\'' {
		return r2 > utf8.RuneSelf || !isDigit(byte(r2))
	}
	return !isWord(r2)
}

func groupEnd(s string, i int) int {
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return i
}

// scan reads the groups of digits at i. from is where their prefix begins.
func scan(s string, from, i int) (d digits) {
	sep := s[from:i]
	for d.n < maxGroups {
		end := groupEnd(s, i)
		if d.total+end-i > maxDigits {
			break
		}
		copy(d.text[d.total:], s[i:end])
		d.length[d.n], d.end[d.n], d.sep[d.n] = end-i, end, sep
		d.total += end - i
		d.n++
		next := separatorEnd(s, end)
		if next == end {
			break
		}
		sep, i = s[end:next], next
	}
	return d
}

// separatorEnd returns where what separates two groups of digits ends: up to
// three spaces, points, hyphens, slashes and brackets. It returns i if no other
// group follows.
func separatorEnd(s string, i int) int {
	end := i
	for n := 0; n < 3 && end < len(s) && !isDigit(s[end]); n++ {
		r, size := utf8.DecodeRuneInString(s[end:])
		if !strings.ContainsRune(" .-/()\u00a0\u2009\u202f‐‑–", r) {
			return i
		}
		end += size
	}
	if end < len(s) && isDigit(s[end]) {
		return end
	}
	return i
}

// match returns how many groups are a number, and which kind of number.
func (d *digits) match(s string) (n int, label string) {
	if d.isDate() {
		return 0, ""
	}
	for n := d.n; n > 0; n-- {
		if !ends(s, d.end[n-1]) {
			continue
		}
		if d.isCard(n) {
			return n, "[card]"
		}
		if d.isPhone(n) {
			return n, "[phone]"
		}
	}
	return 0, ""
}

// skip returns where to go on when no number begins at i.
func (d *digits) skip(s string, i int) int {
	if d.isDate() {
		return d.end[2]
	}
	return groupEnd(s, i)
}

// ends reports whether a number can end at i.
func ends(s string, i int) bool {
	r := after(s, i)
	if r == 'x' {
		return after(s, i+1) < utf8.RuneSelf && isDigit(byte(after(s, i+1))) // an extension
	}
	if isWord(r) || r == '%' {
		return false
	}
	if r != 0 && strings.ContainsRune("-‐‑–./,:", r) {
		return !isWord(after(s, i+utf8.RuneLen(r)))
	}
	if r == ' ' || r == '\u00a0' {
		r = after(s, i+utf8.RuneLen(r))
	}
	return r == 0 || !strings.ContainsRune("$€£¥", r)
}

// isDate reports whether the first three groups are a date with a year of four
// digits.
func (d *digits) isDate() bool {
	if d.n < 3 || d.sep[0] != "" || d.sep[1] != d.sep[2] || !strings.Contains("-./", d.sep[1]) {
		return false
	}
	a, b, c := d.length[0], d.length[1], d.length[2]
	return a == 4 && b <= 2 && c <= 2 || a <= 2 && b <= 2 && c == 4
}

func (d *digits) count(groups int) int {
	n := 0
	for _, length := range d.length[:groups] {
		n += length
	}
	return n
}

// separated reports whether all of the groups are separated by one of seps.
func (d *digits) separated(groups int, seps ...string) bool {
	for _, sep := range seps {
		same := true
		for _, other := range d.sep[1:groups] {
			same = same && other == sep
		}
		if same {
			return true
		}
	}
	return false
}
