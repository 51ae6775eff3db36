package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
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

	contextJSON, integrationsJSON []byte
}

func (s *Settings) encode() (err error) {
	if len(s.Context) > 0 {
		if s.contextJSON, err = json.Marshal(s.Context); err != nil {
			return fmt.Errorf("encode context: %w", err)
		}
	}
	if len(s.Integrations) > 0 {
		if s.integrationsJSON, err = json.Marshal(s.Integrations); err != nil {
			return fmt.Errorf("encode integrations: %w", err)
		}
	}
	return nil
}

const beforeID = `{"type":"track","messageId":"`

// appendEvent appends e as encoding/json encodes the analytics-go track of the
// same event, byte for byte.
func appendEvent(b []byte, e *Event) []byte {
	b = append(b, beforeID...)
	b = e.ID.appendText(b)
	if e.AnonymousID != "" {
		b = appendString(append(b, `","anonymousId":`...), e.AnonymousID)
		b = b[:len(b)-1]
	}
	if e.UserID != "" {
		b = appendString(append(b, `","userId":`...), e.UserID)
		b = b[:len(b)-1]
	}
	b = append(append(b, `","event":"`...), e.Name.String()...)
	b = append(b, `","timestamp":"`...)
	b = e.Timestamp.Time().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	if s := e.Settings; s != nil && len(s.contextJSON) > 0 {
		b = append(append(b, `,"context":`...), s.contextJSON...)
	}
	b = append(b, `,"properties":{`...)
	b = appendProperties(b, e)
	b = append(b, '}')
	if s := e.Settings; s != nil && len(s.integrationsJSON) > 0 {
		b = append(append(b, `,"integrations":`...), s.integrationsJSON...)
	}
	return append(b, '}')
}

// appendProperties appends the properties in the order of their keys.
func appendProperties(b []byte, e *Event) []byte {
	more := e.Properties
	text := func(key, value string) {
		b, more = appendBefore(b, more, key)
		if value != "" {
			b = appendString(appendKey(b, key), value)
		}
	}
	text("agent_id", e.Agent.ID)
	text("agent_name", e.Agent.Name)
	text("agent_username", e.Agent.Username)
	b, more = appendBefore(b, more, "conversation_duration")
	b = strconv.AppendInt(appendKey(b, "conversation_duration"), e.Duration, 10)
	text("conversation_id", e.ConversationID)
	text("message_body", e.Body)
	text("message_id", e.MessageID)
	b, _ = appendBefore(b, more, "")
	return b
}

// appendBefore appends the properties that come before key, all if it is empty,
// and returns the others.
func appendBefore(b []byte, more []Property, key string) ([]byte, []Property) {
	for len(more) > 0 && (key == "" || more[0].Key < key) {
		b = append(appendString(comma(b), more[0].Key), ':')
		b = append(b, more[0].Value...)
		more = more[1:]
	}
	return b, more
}

func appendKey(b []byte, key string) []byte {
	b = append(append(comma(b), '"'), key...)
	return append(b, `":`...)
}

func comma(b []byte) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return b
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

// appendString appends s, valid UTF-8, as a JSON string.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case plain[c]:
		case c != lineEnds:
			b = appendEscape(append(b, s[start:i]...), c)
			start = i + 1
		case i+2 < len(s) && s[i+1] == 0x80 && s[i+2]&^1 == 0xa8:
			b = append(append(b, s[start:i]...), `\u202`...)
			b = append(b, hexDigits[s[i+2]&0xf])
			start = i + 3
			i += 2
		}
	}
	return append(append(b, s[start:]...), '"')
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
		return appendString(nil, readable(text))
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

// contentHash is a hash of an encoded event without its messageId: what would
// be sent again if only the ids were others is the same content.
func contentHash(encoded []byte) uint64 {
	return xxhash.Sum64(encoded[len(beforeID)+36:])
}
