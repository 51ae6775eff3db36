package transform

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// blank reports whether s is nothing but white space.
func blank(s string) bool {
	for _, r := range s {
		if !unicode.IsSpace(r) {
			return false
		}
	}
	return true
}

// isASCII reports whether s, of eight bytes or more, is ASCII without NUL. It
// looks at eight bytes at a time, the last of which may overlap others.
func isASCII(s string) bool {
	// A subtraction sets the highest bit of a zero byte; it only carries into
	// the next one from there.
	const each, highest = 0x0101010101010101, 0x8080808080808080
	last := load(s[len(s)-8:])
	found := last | (last - each)
	for ; len(s) > 8; s = s[8:] {
		x := load(s)
		found |= x | (x - each)
	}
	return found&highest == 0
}

// readable returns s with U+FFFD for each NUL and each byte that is not part
// of valid UTF-8: the form in which text can be sent.
func readable(s string) string {
	if len(s) >= 8 && isASCII(s) || utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for _, r := range s {
		if r == 0 {
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	return b.String()
}
