package jobs

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// SpecError is one mistake in a job file.
type SpecError struct {
	File    string
	Line    int // from 1; 0: the file as a whole
	Column  int // from 1, in characters
	Message string
	Try     string // what to do; may be empty
	Source  string // the offending line, secrets masked; empty if it is very long
}

// Error prints the mistake, the offending line with a caret, and what to try.
func (e SpecError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message + tryLine(e.Try)
	}
	head := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
	if e.Source == "" {
		return head + tryLine(e.Try)
	}
	source, caret := excerpt(e.Source, e.Column)
	return fmt.Sprintf("%s\n%5d | %s\n%*s^%s", head, e.Line, source, len("12345 | ")+caret, "", tryLine(e.Try))
}

func tryLine(try string) string {
	if try == "" {
		return ""
	}
	return "\n  try: " + try
}

// excerpt returns the part of a line that is shown, and where in it the column
// lies, from 0.
func excerpt(line string, column int) (string, int) {
	const before, after = 100, 60
	runes := []rune(strings.TrimRight(line, " \t\r"))
	at := max(0, column-1)
	from := max(0, min(at, len(runes))-before)
	to := min(len(runes), at+after)
	part := strings.ReplaceAll(string(runes[from:max(from, to)]), "\t", " ")
	if to < len(runes) {
		part += "…"
	}
	if from > 0 {
		return "…" + part, at - from + 1
	}
	return part, at
}

// SpecErrors are all mistakes of a job file in the order of their lines, then
// those of a preset.
type SpecErrors []SpecError

func (e SpecErrors) Error() string {
	texts := make([]string, len(e))
	for i := range e {
		texts[i] = e[i].Error()
	}
	return strings.Join(texts, "\n")
}

// What is reported of one file is bounded: mistakes, and the bytes of a line
// that is shown.
const (
	maxMistakes = 100
	maxExcerpt  = 4096
)

// specMistakes collects what is wrong with a job file.
type specMistakes struct {
	file   string
	lines  []string
	list   SpecErrors
	hidden []string // texts that excerpts must not show
}

func (m *specMistakes) add(line, column int, try, format string, args ...any) {
	if len(m.list) >= maxMistakes {
		return
	}
	m.list = append(m.list, SpecError{File: m.file, Line: line, Column: column, Message: fmt.Sprintf(format, args...), Try: try})
}

// hide keeps a text out of the excerpts.
func (m *specMistakes) hide(text string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			m.hidden = append(m.hidden, line)
		}
	}
}

// sorted returns all mistakes in the order of their lines, and with them.
func (m *specMistakes) sorted() SpecErrors {
	slices.SortStableFunc(m.list, func(a, b SpecError) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column)
	})
	for i := range m.list {
		if line := m.list[i].Line; line > 0 && line <= len(m.lines) && len(m.lines[line-1]) <= maxExcerpt {
			m.list[i].Source = m.mask(m.lines[line-1])
		}
	}
	return m.list
}

// secretPatterns find secrets that stand in a line literally, for the lines of
// a file that could not be understood. The second group is what is masked, the
// third one what follows it.
var secretPatterns = []*regexp.Regexp{
	regexp.MustCompile(`(?i)([\w-]*(?:[_-]key|dsn|passw\w*|secret|token)["']?\s*[:=]\s*)([^\s,}][^,}]*)()`),
	regexp.MustCompile(`([a-z]Key["']?\s*:\s*)([^\s,}][^,}]*)()`),
	regexp.MustCompile(`(?i)(postgres(?:ql)?://)(\S+)()`),
	regexp.MustCompile(`(://[^\s/:@]*:)([^\s@]+)(@)`),
}

// mask replaces secrets in a line by stars, so that columns stay where they are.
func (m *specMistakes) mask(line string) string {
	for _, text := range m.hidden {
		line = strings.ReplaceAll(line, text, stars(text))
	}
	for _, pattern := range secretPatterns {
		line = pattern.ReplaceAllStringFunc(line, func(match string) string {
			groups := pattern.FindStringSubmatch(match)
			if value := strings.TrimLeft(groups[2], `"'`); strings.HasPrefix(value, "${") || strings.HasPrefix(value, "file:") {
				return match
			}
			return groups[1] + stars(groups[2]) + groups[3]
		})
	}
	return line
}

func stars(text string) string { return strings.Repeat("*", len([]rune(text))) }

// nearest returns which of names may have been meant by word, or "".
func nearest(word string, names []string) string {
	if len(word) > 64 {
		return ""
	}
	best, bestDistance := "", 1+max(2, len(word)/3)
	for _, name := range names {
		d := levenshtein.Distance(strings.ToLower(word), strings.ToLower(name), nil)
		if d < bestDistance && d < max(len(word), len(name)) {
			best, bestDistance = name, d
		}
	}
	return best
}

// didYouMean suggests the nearest of names, and lists them if none is near.
func didYouMean(word string, names []string) string {
	if name := nearest(word, names); name != "" {
		return fmt.Sprintf("did you mean %q?", name)
	}
	if len(names) == 0 {
		return ""
	}
	return "one of " + strings.Join(names, ", ")
}

// quoted prints a text of the file, shortened if it is very long.
func quoted(text string) string {
	const most = 80
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return fmt.Sprintf("%q", text)
}
