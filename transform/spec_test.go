package transform

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract"
)

// specExamples are the examples of Segment's Live Chat spec, as the spec has
// them. In all of them the conversation is the same.
const specExamples = `[
{
  "userId": "019mr8mf4r",
  "action": "track",
  "event": "Live Chat Conversation Started",
  "properties": {
    "agent_id": "bce89acdd11901",
    "agent_name": "Peter Gibbons",
    "agent_username": "pgibbons",
    "conversation_duration": 0,
    "conversation_id": "abd627dbecffc",
    "message_body": "But my stapler...",
    "message_id": "beaffc193618cbe"
  }
},
{
  "userId": "019mr8mf4r",
  "action": "track",
  "event": "Live Chat Message Sent",
  "properties": {
    "agent_id": "bce89acdd11901",
    "agent_name": "Peter Gibbons",
    "agent_username": "pgibbons",
    "conversation_duration": 45,
    "conversation_id": "abd627dbecffc",
    "message_body": "But then they switched from the Swingline to the Boston stapler!",
    "message_id": "beaffc193618cbe"
  }
},
{
  "userId": "019mr8mf4r",
  "action": "track",
  "event": "Live Chat Message Received",
  "properties": {
    "agent_id": "bce89acdd11901",
    "agent_name": "Peter Gibbons",
    "agent_username": "pgibbons",
    "conversation_duration": 98,
    "conversation_id": "abd627dbecffc",
    "message_body": "Yeah, uh huh, okay, Milton",
    "message_id": "beaffc193618cbe"
  }
},
{
  "userId": "019mr8mf4r",
  "action": "track",
  "event": "Live Chat Conversation Ended",
  "properties": {
    "agent_id": "bce89acdd11901",
    "agent_name": "Peter Gibbons",
    "agent_username": "pgibbons",
    "conversation_duration": 203,
    "conversation_id": "abd627dbecffc",
    "message_body": "I'll... set the building on fire",
    "message_id": "bcadac1183618cbe"
  }
}
]`

// TestLaw7 gets the examples of the spec from the matching transcript. The spec
// gives three different messages one id, so that ids are not compared; nor is
// its "action", which the API calls type.
func TestLaw7(t *testing.T) {
	peter := extract.Person{ID: "bce89acdd11901", Name: "Peter Gibbons", Username: "pgibbons"}
	milton := extract.Message{ConversationID: "abd627dbecffc", Role: extract.Customer, UserID: "019mr8mf4r"}
	row := func(m extract.Message, id string, after time.Duration, body string) extract.Message {
		m.ConversationID, m.MessageID, m.SentAt, m.Body = "abd627dbecffc", id, noon.Add(after*time.Second), body
		return m
	}
	last := milton
	last.Kind = extract.KindEnd
	tr := extract.Transcript{ConversationID: "abd627dbecffc", Messages: []extract.Message{
		row(milton, "m1", 0, "But my stapler..."),
		row(milton, "m2", 45, "But then they switched from the Swingline to the Boston stapler!"),
		row(extract.Message{Role: extract.Agent, Author: peter}, "m3", 98, "Yeah, uh huh, okay, Milton"),
		row(last, "m4", 203, "I'll... set the building on fire"),
	}}
	tally := NewTally()
	events := newBuilder(t, Options{Namespace: "support", Label: "prod"}).Build(&tr, Known{}, &tally).Events

	// Started 0, Sent 0, Sent 45, Received 98, Sent 203, Ended 203
	var got []map[string]any
	for _, i := range []int{0, 2, 3, 5} {
		got = append(got, example(t, events[i].JSON))
	}
	var want []map[string]any
	if err := json.Unmarshal([]byte(specExamples), &want); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		delete(want[i], "action")
		delete(want[i]["properties"].(map[string]any), "message_id")
	}
	if diff := cmp.Diff(want, got); diff != "" || len(events) != 6 {
		t.Errorf("%d events (-want +got):\n%s", len(events), diff)
	}
}

// example decodes an event without its type, ids and time.
func example(t *testing.T, encoded []byte) map[string]any {
	var e map[string]any
	if err := json.Unmarshal(encoded, &e); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"type", "messageId", "timestamp"} {
		delete(e, key)
	}
	delete(e["properties"].(map[string]any), "message_id")
	return e
}
