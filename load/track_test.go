package load

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
	"github.com/chatbackfill/chatbackfill/transform"
)

// What arrives at Segment, with everything an event can have and with as little.
func TestTrack(t *testing.T) {
	full := event(1, "Hi <b>there</b> & welcome")
	full.AnonymousID = "a1"
	full.Settings = &transform.Settings{
		Context:      map[string]any{"app": map[string]any{"name": "chat"}, "active": false},
		Integrations: map[string]any{"All": false, "Amplitude": true},
	}
	full.Properties = []transform.Property{{Key: "n", Value: json.RawMessage("12345678901234567890")}, {Key: "tags", Value: json.RawMessage(`["a",{"b":1}]`)}}
	bare := event(2, "")
	bare.Agent = extract.Person{}
	bare.Properties, bare.Duration = nil, 0
	bare.Timestamp = bare.Timestamp.Add(-123e6)
	sent := []*transform.Event{full, bare}
	for _, e := range sent {
		encode(e)
	}
	want := []string{
		`{"type":"track","messageId":"00000000-0000-0000-0000-000000000002","anonymousId":"a1","userId":"user-1",` +
			`"event":"Live Chat Message Sent","timestamp":"1999-05-06T07:08:10.123Z","context":{"active":false,"app":{"name":"chat"}},` +
			`"properties":{"agent_id":"7","agent_name":"Ann","agent_username":"ann","conversation_duration":1,"conversation_id":"conversation-0",` +
			`"message_body":"Hi \u003cb\u003ethere\u003c/b\u003e \u0026 welcome","message_id":"message-1","n":12345678901234567890,"tags":["a",{"b":1}]},` +
			`"integrations":{"All":false,"Amplitude":true}}`,
		`{"type":"track","messageId":"00000000-0000-0000-0000-000000000003","userId":"user-2",` +
			`"event":"Live Chat Message Received","timestamp":"1999-05-06T07:08:11Z",` +
			`"properties":{"conversation_duration":0,"conversation_id":"conversation-0","message_id":"message-2"}}`,
	}

	s := segmenttest.New(t)
	if _, err := openSegment(t, s, nil).Send(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	wantAccepted(t, s, sent)
	for i, e := range sent {
		if diff := cmp.Diff(want[i], string(s.Accepted()[e.ID.String()].JSON)); diff != "" {
			t.Errorf("event %d (-want +got):\n%s", i, diff)
		}
	}
}
