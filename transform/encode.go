package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// MaxEventBytes is the greatest size of an encoded event. Segment's limit is
// 32 KB, and its own clients take that as 32,000 bytes.
const MaxEventBytes = 32_000

// Settings are sent as given with every event. The zero value sends nothing.
type Settings struct {
	Context      map[string]any
	Integrations map[string]any

	beforeProperties, afterProperties string // in the JSON of every event
}

func (s *Settings) encode() error {
	context, err := encodeSetting("context", s.Context)
	if err != nil {
		return err
	}
	integrations, err := encodeSetting("integrations", s.Integrations)
	if err != nil {
		return err
	}
	s.beforeProperties = `"` + context + `,"properties":`
	s.afterProperties = `}` + integrations + `}`
	return nil
}

// encodeSetting returns a setting as a member of an event, after a comma; "" if
// there is none.
func encodeSetting(name string, setting map[string]any) (string, error) {
	if len(setting) == 0 {
		return "", nil
	}
	encoded, err := json.Marshal(setting)
	if err != nil {
		return "", fmt.Errorf("encode %s: %w", name, err)
	}
	return `,"` + name + `":` + string(encoded), nil
}

// lineEnds is the first byte of U+2028 and U+2029, which end a line in
// JavaScript.
const lineEnds = 0xe2

// plain are the bytes that stand for themselves in a JSON string as
// encoding/json writes it: it escapes HTML and lineEnds.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != lineEnds && bytes.IndexByte([]byte(`"\<>&`), byte(c)) < 0
	}
	return t
}()

// appendString appends s, valid UTF-8, as a JSON string that is open already.
func appendString(b []byte, s string) []byte {
	for {
		n := plainPrefix(s)
		b = append(b, s[:n]...)
		if n == len(s) {
			return append(b, '"')
		}
		b, s = appendSpecial(b, s[n:])
	}
}

// plainPrefix is the length of the longest prefix of s that stands for itself.
// It looks at eight bytes at a time, the last of which may overlap others, and at
// each of them only if one is not plain or not ASCII.
func plainPrefix(s string) int {
	i := 0
	for i+8 <= len(s) {
		if allPlain(load(s[i : i+8])) {
			i += 8
			continue
		}
		for end := i + 8; i < end; i++ {
			if !plain[s[i]] {
				return i
			}
		}
	}
	if i < len(s) && i > 0 && allPlain(load(s[len(s)-8:])) {
		return len(s)
	}
	for i < len(s) && plain[s[i]] {
		i++
	}
	return i
}

func load(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// allPlain reports whether each of the eight bytes of x is ASCII and plain. The
// subtractions set the highest bit of a byte below ' ', or of one that has
// become zero; '<' and '>' differ in one bit, and so do '"' and '&'.
func allPlain(x uint64) bool {
	const each, highest = 0x0101010101010101, 0x8080808080808080
	found := x | (x - each*' ') |
		((x&^(each*('<'^'>')) ^ each*('<'&'>')) - each) |
		((x&^(each*('"'^'&')) ^ each*('"'&'&')) - each) |
		((x ^ each*'\\') - each)
	return found&highest == 0
}

// appendSpecial appends the first code point of s, whose first byte is not
// plain, or that byte. It returns the rest of s too.
func appendSpecial(b []byte, s string) ([]byte, string) {
	switch c := s[0]; {
	case c != lineEnds:
		return appendEscape(b, c), s[1:]
	case len(s) > 2 && s[1] == 0x80 && s[2]&^1 == 0xa8:
		return append(append(b, `\u202`...), hexDigits[s[2]&0xf]), s[3:]
	default:
		return append(b, c), s[1:]
	}
}

// canonicalJSON returns a JSON text as encoding/json encodes it inside of another
// value: without white space, HTML escaped, and valid UTF-8. It returns nil for
// what is absent.
func canonicalJSON(text string) []byte {
	if text == "" || text == "null" {
		return nil
	}
	if !strings.ContainsAny(text, " \t\r\n<>&\u2028\u2029") && utf8.ValidString(text) {
		return []byte(text)
	}
	encoded, err := json.Marshal(json.RawMessage(strings.ToValidUTF8(text, "\ufffd")))
	if err != nil {
		return appendString([]byte{'"'}, readable(text))
	}
	return encoded
}

const hexDigits = "0123456789abcdef"

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}

// escapedLen is the number of bytes that the code point at the start of s has
// in a JSON string, and in s.
func escapedLen(s string) (escaped, raw int) {
	if c := s[0]; c < utf8.RuneSelf {
		if plain[c] {
			return 1, 1
		}
		var b [6]byte
		return len(appendEscape(b[:0], c)), 1
	}
	r, n := utf8.DecodeRuneInString(s)
	if r == '\u2028' || r == '\u2029' {
		return 6, n
	}
	return n, n
}

// prefix returns the longest prefix of whole code points of s that has at most
// limit bytes in a JSON string.
func prefix(s string, limit int) string {
	size, i := 0, 0
	for i < len(s) {
		escaped, raw := escapedLen(s[i:])
		if size+escaped > limit {
			break
		}
		size, i = size+escaped, i+raw
	}
	return s[:i]
}

// Revise gives an encoded event the id under which it is sent again on purpose.
func (e *Event) Revise(revision int) {
	e.ID = e.ID.Revised(revision)
	e.ID.writeTo(e.JSON[len(beforeID):])
}

// Hash is a hash of the encoded event without its messageId: what would be sent
// again if only the ids were others is the same content.
func (e *Event) Hash() uint64 {
	return xxhash.Sum64(e.JSON[len(beforeID)+idLen:])
}
