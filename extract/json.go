package extract

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions here read JSON texts that are known to be valid: those that
// [json.Valid] has seen, and those that were assembled from Parquet's columns.

// maxJSONInJSON is how many times a JSON text may be wrapped in strings.
const maxJSONInJSON = 4

// openJSON returns the JSON text that a text holds, be it inside of a JSON
// string; false if it is none.
func openJSON(text string, s *Scratch) (string, bool) {
	for range maxJSONInJSON {
		text = strings.Trim(text, " \t\r\n")
		if text == "" || !json.Valid(bytesOf(text)) {
			return "", false
		}
		if text[0] != '"' {
			return text, true
		}
		text = unquoteJSON(text, s)
	}
	return "", false
}

func skipSpace(text string, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r') {
		at++
	}
	return at
}

// skipString returns the end of the string that starts at a place.
func skipString(text string, at int) int {
	at++
	quote := at + strings.IndexByte(text[at:], '"')
	for {
		slash := strings.IndexByte(text[at:quote], '\\')
		if slash < 0 {
			return quote + 1
		}
		if at += slash + 2; at > quote { // it was the quote that is escaped
			quote = at + strings.IndexByte(text[at:], '"')
		}
	}
}

// skipValue returns the end of the value that starts at a place.
func skipValue(text string, at int) int {
	switch text[at] {
	case '"':
		return skipString(text, at)
	case '{', '[':
		return skipNested(text, at)
	}
	for at < len(text) && !isDelimiter(text[at]) {
		at++
	}
	return at
}

func isDelimiter(c byte) bool {
	return c == ',' || c == ']' || c == '}' || c == ':' || c == ' ' || c == '\n' || c == '\t' || c == '\r'
}

func skipNested(text string, at int) int {
	for depth := 0; ; at++ {
		switch text[at] {
		case '"':
			at = skipString(text, at) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
	}
}

// nextItem returns the start of the next item of the list or object that at
// lies in, right behind its bracket or one of its items; false at its end.
func nextItem(text string, at int) (int, bool) {
	at = skipSpace(text, at)
	if text[at] == ',' {
		at = skipSpace(text, at+1)
	}
	return at, text[at] != ']' && text[at] != '}'
}

// memberValue returns a member's key and the start of its value.
func memberValue(text string, at int, s *Scratch) (key string, value int) {
	end := skipString(text, at)
	key = unquoteJSON(text[at:end], s)
	return key, skipSpace(text, skipSpace(text, end)+1)
}

// unquoteJSON returns the text of a JSON string, without a copy if nothing in
// it is escaped. Unlike [json.Unmarshal] it keeps what is no valid UTF-8.
func unquoteJSON(quoted string, s *Scratch) string {
	rest := quoted[1 : len(quoted)-1]
	n := strings.IndexByte(rest, '\\')
	if n < 0 {
		return rest
	}
	start := len(s.buf)
	for ; n >= 0; n = strings.IndexByte(rest, '\\') {
		s.buf = append(s.buf, rest[:n]...)
		var char rune
		char, rest = unescape(rest[n+1:])
		s.buf = utf8.AppendRune(s.buf, char)
	}
	s.buf = append(s.buf, rest...)
	return stringOf(s.buf[start:])
}

var escapes = map[byte]rune{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape reads what follows a backslash.
func unescape(s string) (char rune, rest string) {
	if s[0] != 'u' {
		if char, ok := escapes[s[0]]; ok {
			return char, s[1:]
		}
		return rune(s[0]), s[1:]
	}
	char, rest = hexRune(s[1:]), s[5:]
	if !utf16.IsSurrogate(char) {
		return char, rest
	}
	if strings.HasPrefix(rest, `\u`) {
		if both := utf16.DecodeRune(char, hexRune(rest[2:])); both != utf8.RuneError {
			return both, rest[6:]
		}
	}
	return utf8.RuneError, rest
}

func hexRune(s string) rune {
	n, _ := strconv.ParseUint(s[:4], 16, 32) // valid JSON has four hex digits here
	return rune(n)
}

// jsonValue is the value of a JSON text as one of a column's type. Numbers keep
// all of their digits.
func jsonValue(text string, as Type, s *Scratch) Value {
	switch text[0] {
	case '"':
		return timeFromText(unquoteJSON(text, s), as)
	case '{', '[':
		return Value{Type: TypeOther, Str: text}
	case 't', 'f':
		return boolValue(text[0] == 't')
	case 'n':
		return Value{}
	}
	return jsonNumber(text, as)
}

func jsonNumber(text string, as Type) Value {
	if as == TypeDecimal {
		if strings.IndexByte(text, '.') >= 0 && !strings.ContainsAny(text, "eE") {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return Value{Type: TypeDecimal, Str: text}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return Value{Type: TypeInt, Int: n}
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return Value{Type: TypeUint, Int: int64(n)}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !strings.ContainsAny(text, ".eE") {
		return Value{Type: TypeDecimal, Str: text}
	}
	return floatValue(f)
}

// timeFromText undoes how appendJSON writes times.
func timeFromText(text string, as Type) Value {
	if isTime(as) {
		if t, ok := (timeReader{}).text(text); ok {
			if as == TypeDate {
				days, _ := splitUnits(int64(t), secondsPerDay*1e9)
				return Value{Type: TypeDate, Int: days}
			}
			return Value{Type: as, Int: int64(t)}
		}
	}
	return textValue(text)
}

// appendJSON appends v as JSON. Texts stay as they are, valid UTF-8 or not.
func appendJSON(b []byte, v Value) []byte {
	switch v.Type {
	case TypeNull:
		return append(b, "null"...)
	case TypeBool, TypeInt, TypeUint:
		return appendText(b, v)
	case TypeDecimal:
		if strings.Trim(v.Str, "+-.0123456789eE") != "" { // NaN, Infinity
			return append(b, "null"...)
		}
		return append(b, v.Str...)
	case TypeOther:
		return append(b, v.Str...)
	case TypeFloat:
		if f := v.float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return append(b, "null"...)
		}
		return appendText(b, v)
	case TypeText:
		return appendQuoted(b, v.Str)
	}
	return append(appendText(append(b, '"'), v), '"')
}

func appendQuoted(b []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		if c >= ' ' {
			b = append(b, '\\', c)
		} else {
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
		start = i + 1
	}
	return append(append(b, s[start:]...), '"')
}
