package transform

import (
	"github.com/chatbackfill/chatbackfill/extract"
)

// bodyText makes message bodies what the job wants them to be.
type bodyText struct {
	policy   BodyPolicy
	format   BodyFormat
	redactor redactor
}

func newBodyText(opts Options) (bodyText, error) {
	r, err := newRedactor(opts.Redact)
	return bodyText{policy: opts.MessageBody, format: opts.BodyFormat, redactor: r}, err
}

// of returns the body of a message as it is sent, or "".
func (t *bodyText) of(m *extract.Message) string {
	if m.Deleted || t.policy == OmitBody || blank(m.Body) {
		return ""
	}
	body := m.Body
	if t.format == HTML {
		body = htmlText(body)
	}
	if t.policy == RedactBody {
		body = t.redactor.clean(body)
	}
	if body = readable(body); blank(body) {
		return ""
	}
	return body
}
