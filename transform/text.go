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

// readable returns s with U+FFFD for each NUL and each byte that is not part
// of valid UTF-8: the form in which text can be sent.
func readable(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
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
