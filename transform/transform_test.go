package transform

import (
	"strings"
	"testing"
)

func TestErrNewBuilder(t *testing.T) {
	for _, c := range []struct {
		name string
		opts Options
		want string
	}{
		{"agent", Options{Agent: "somebody"}, `agent "somebody": unknown; there are handling, first_responder`},
		{"bots", Options{Bots: "no"}, `bots "no": unknown; there are include, exclude`},
		{"outbound", Options{Outbound: "no"}, `outbound "no"`},
		{"identity", Options{Identity: "none"}, `identity "none"`},
		{"body", Options{MessageBody: "hide"}, `message_body "hide": unknown; there are include, redact, omit`},
		{"format", Options{BodyFormat: "markdown"}, `body_format "markdown"`},
		{"derived", Options{Derived: []string{"mood"}}, `derived property "mood": unknown; there are first_response_seconds`},
		{"extra of the spec", Options{Extra: []string{"agent_id"}}, `property "agent_id": the name belongs`},
		{"constant of the spec", Options{Properties: map[string]any{"message_body": "x"}}, `property "message_body": the name belongs`},
		{"derived as constant", Options{Properties: map[string]any{"message_index": 1}}, `property "message_index": the name belongs`},
		{"given twice", Options{Extra: []string{"a", "b"}, Properties: map[string]any{"b": 1}}, `property "b": given twice`},
		{"constant", Options{Properties: map[string]any{"f": func() {}}}, `encode property "f"`},
		{"context", Options{Settings: Settings{Context: map[string]any{"f": func() {}}}}, `encode context`},
		{"integrations", Options{Settings: Settings{Integrations: map[string]any{"f": func() {}}}}, `encode integrations`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := NewBuilder(c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
