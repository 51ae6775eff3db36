package transform

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract"
)

func TestTimeline(t *testing.T) {
	at := func(second int64) extract.Time { return extract.Time((1_700_000_000 + second) * 1e9) }
	customer := extract.Message{ConversationID: "c", MessageID: "2", SentAt: at(2), Role: extract.Customer, Body: "hello", UserID: "u"}
	transcript := &extract.Transcript{ConversationID: "c", Messages: []extract.Message{
		{ConversationID: "c", MessageID: "9", SentAt: at(9), Role: extract.System, Kind: extract.KindEnd},
		{ConversationID: "c", MessageID: "3", SentAt: at(3), Role: extract.Agent, Body: "call +12125550123"},
		customer, customer,
		{ConversationID: "c", Kind: extract.KindNote},
		{ConversationID: "c", MessageID: "1", SentAt: at(1), Role: extract.Agent, Kind: extract.KindJoin},
	}}
	type line struct {
		id, text, outcome string
		events            []string
	}
	read := func(opts Options) (lines []line, c Conversation) {
		t.Helper()
		opts.Namespace, opts.Label, opts.Final = "n", "l", true
		b, err := NewBuilder(opts)
		if err != nil {
			t.Fatal(err)
		}
		c, found, tally := b.Timeline(transcript, Known{Horizon: at(100)})
		if tally.Rows[Duplicate] != 1 || tally.Rows[Ignored+"note"] != 1 {
			t.Errorf("tally %v", tally.Rows)
		}
		for _, l := range found {
			out := line{id: l.MessageID, text: l.Text, outcome: string(l.Outcome)}
			for _, e := range l.Events {
				out.events = append(out.events, e.Name.String())
			}
			lines = append(lines, out)
		}
		return lines, c
	}
	got, _ := read(Options{MessageBody: RedactBody})
	want := []line{
		{"1", "", "informs", nil},
		{"2", "hello", "event", []string{"Live Chat Conversation Started", "Live Chat Message Sent"}},
		{"3", "call [phone]", "event", []string{"Live Chat Message Received"}},
		{"9", "", "event", []string{"Live Chat Conversation Ended"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(line{})); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		name string
		opts Options
		want string
		edit func()
	}{
		{"suppressed", Options{Suppressed: func(string) bool { return true }}, "suppressed", func() {}},
		{"held", Options{HoldRejected: true}, "rejected:held", func() {
			transcript.Rejects = []extract.Reject{{Stage: extract.StageRead, Reason: extract.BadID, Set: extract.SetMessages}}
		}},
	} {
		c.edit()
		got, _ := read(c.opts)
		for _, l := range got {
			if l.outcome != c.want || len(l.events) > 0 {
				t.Errorf("%s: %+v", c.name, l)
			}
		}
	}
}
