package transform

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// redactor replaces personal data in text by a label in brackets: first what
// the job's own patterns match, then e-mail addresses, IBANs, IP addresses,
// payment cards and telephone numbers. It takes time linear in the text, and
// next to none for text without digits and @.
type redactor struct {
	patterns []pattern
}

// pattern is one of the job's own, and the label that replaces what it matches.
type pattern struct {
	*regexp.Regexp
	label string
}

func newRedactor(expressions map[string]string) (redactor, error) {
	var r redactor
	names := keys(expressions)
	slices.Sort(names)
	for _, name := range names {
		re, err := regexp.Compile(expressions[name])
		if err != nil {
			return r, fmt.Errorf("compile redact pattern %q: %w", name, err)
		}
		r.patterns = append(r.patterns, pattern{re, "[" + name + "]"})
	}
	return r, nil
}

func (r *redactor) clean(s string) string {
	for i := range r.patterns {
		s = replace(s, r.patterns[i].find)
	}
	for range rounds {
		cleaned := redactOnce(s)
		if cleaned == s {
			break
		}
		s = cleaned
	}
	return s
}

// rounds is more than it takes until nothing is found any more: what is
// replaced may have hidden what stands beside it, as 1::2 in 1::2:+12125550123.
const rounds = 4

func redactOnce(s string) string {
	has := survey(s)
	if has.at > 0 {
		s = replace(s, findEmail)
	}
	if has.digits >= minIBANDigits {
		s = replace(s, findIBAN)
	}
	if has.colons >= 2 || has.dots >= 3 && has.digits >= 4 {
		s = replace(s, findAddress)
	}
	if has.digits >= minPhoneDigits {
		s = replace(s, findNumber)
	}
	return s
}

// found is a part of a text to be replaced by a label. from is -1 if there is none.
type found struct {
	from, to int
	label    string
}

var nothing = found{from: -1}

// replace replaces all that find finds. find looks at and after start.
func replace(s string, find func(s string, start int) found) string {
	f := find(s, 0)
	if f.from < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	done := 0
	for f.from >= 0 {
		b.WriteString(s[done:f.from])
		b.WriteString(f.label)
		done = f.to
		f = find(s, done)
	}
	b.WriteString(s[done:])
	return b.String()
}

// find returns the first match that is not empty.
func (p *pattern) find(s string, start int) found {
	for start < len(s) {
		at := p.FindStringIndex(s[start:])
		if at == nil {
			return nothing
		}
		if at[1] > at[0] {
			return found{start + at[0], start + at[1], p.label}
		}
		_, n := utf8.DecodeRuneInString(s[start+at[1]:])
		start += at[1] + max(n, 1)
	}
	return nothing
}

// contents says what of interest is in a text.
type contents struct{ at, digits, colons, dots int }

func survey(s string) (has contents) {
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			has.digits++
		case c == '@':
			has.at++
		case c == ':':
			has.colons++
		case c == '.':
			has.dots++
		}
	}
	return has
}

// findEmail finds an e-mail address around an @.
func findEmail(s string, start int) found {
	for i := start; i < len(s); i++ {
		at := strings.IndexByte(s[i:], '@')
		if at < 0 {
			return nothing
		}
		at += i
		from, to := mailbox(s, start, at), domain(s, at+1)
		if from < at && to > at {
			return found{from, to, "[email]"}
		}
		i = at
	}
	return nothing
}

// mailbox returns where the part of an address before the @ begins.
func mailbox(s string, start, at int) int {
	from := at
	for from > start {
		r, n := utf8.DecodeLastRuneInString(s[start:from])
		if !isWord(r) && !strings.ContainsRune(".%+-'~", r) {
			break
		}
		from -= n
	}
	return from + len(s[from:at]) - len(strings.TrimLeft(s[from:at], ".'-"))
}

// domain returns where a domain that begins at start ends, or 0 if none does.
func domain(s string, start int) int {
	end := start
	for end < len(s) {
		r, n := utf8.DecodeRuneInString(s[end:])
		if !isWord(r) && r != '.' && r != '-' || r == utf8.RuneError {
			break
		}
		end += n
	}
	name := strings.TrimRight(s[start:end], ".-_")
	dot := strings.LastIndexByte(name, '.')
	top, _ := utf8.DecodeRuneInString(name[dot+1:])
	if dot <= 0 || len(name)-dot < 3 || !unicode.IsLetter(top) {
		return 0
	}
	return start + len(name)
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// isWord reports whether r belongs to a word, so that a number beside it is a
// part of something else.
func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r == '_' || isDigit(byte(r)) || byte(r)|0x20-'a' < 26
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// before and after return the code points beside a place in s, or 0.
func before(s string, i int) rune {
	if i <= 0 {
		return 0
	}
	r, _ := utf8.DecodeLastRuneInString(s[:i])
	return r
}

func after(s string, i int) rune {
	if i >= len(s) {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(s[i:])
	return r
}
