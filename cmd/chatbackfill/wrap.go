package main

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// The widths of what is printed for people to read.
const (
	narrowest   = 40
	usualWidth  = 80
	widestLines = 100
)

// width is how many columns a line may have.
func (a *app) width() int {
	if f, ok := a.out.(interface{ Fd() uintptr }); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
			return min(max(columns, narrowest), widestLines)
		}
	}
	return usualWidth
}

// wrap breaks a text into lines of at most so many columns, between words if
// it can.
func wrap(s string, columns int) []string {
	columns = max(columns, 1)
	var lines []string
	for _, paragraph := range strings.Split(s, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			for line == "" && text.StringWidth(word) > columns {
				head := text.Trim(word, columns)
				lines = append(lines, head)
				word = strings.TrimPrefix(word, head)
			}
			switch {
			case line == "":
				line = word
			case text.StringWidth(line)+1+text.StringWidth(word) <= columns:
				line += " " + word
			default:
				lines = append(lines, line)
				line = ""
				for text.StringWidth(word) > columns {
					head := text.Trim(word, columns)
					lines = append(lines, head)
					word = strings.TrimPrefix(word, head)
				}
				line = word
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// harmless is a text without what a terminal would take for a command.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, s)
}
