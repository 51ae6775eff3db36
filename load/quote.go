package load

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode"
)

const (
	maxQuote  = 200 // bytes of an answer that are shown
	echoRun   = 12  // bytes in common with a message's text that make an echo
	shortEcho = 4   // bytes of a shorter text that do when all of it is there
)

// quote returns what the answer to b said, as the end of a sentence, or "". An
// answer may repeat the request: if it has the text of a message in it, or the
// write key, nothing of it is shown.
func (d *Segment) quote(b batch, a *answer) string {
	said := string(a.body)
	if a.err != nil {
		said = a.err.Error()
	}
	said = said[:min(len(said), 2*maxQuote)]
	if d.repeats(said, b) {
		return " (what it said is left out: it repeats the request)"
	}
	if said = clean(said); said == "" {
		return ""
	}
	return ": " + said
}

// repeats reports whether text has something in it that is not to be shown.
func (d *Segment) repeats(text string, b batch) bool {
	key := d.config.WriteKey
	if strings.Contains(text, key) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(key+":"))) {
		return true
	}
	for _, it := range b {
		body := it.event.Body
		if echoes(text, body) {
			return true
		}
		if encoded, err := json.Marshal(body); err == nil && echoes(text, string(encoded[1:len(encoded)-1])) {
			return true
		}
	}
	return false
}

// echoes reports whether text and body have a run of bytes in common that is no
// coincidence.
func echoes(text, body string) bool {
	if len(body) < echoRun {
		return len(body) >= shortEcho && strings.Contains(text, body)
	}
	for i := 0; i+echoRun <= len(text); i++ {
		if strings.Contains(body, text[i:i+echoRun]) {
			return true
		}
	}
	return false
}

// clean makes text one line of at most maxQuote bytes.
func clean(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if len(text) > maxQuote {
		text = strings.ToValidUTF8(text[:maxQuote], "")
	}
	return text
}
