package transform

import (
	"flag"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Every property runs more often than rapid does by default, leaves no files
// behind, and draws the same in every run: -rapid.seed=0 draws something else.
func init() {
	for name, value := range map[string]string{"rapid.checks": "250", "rapid.nofailfile": "true", "rapid.seed": "1"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
}

// The generators draw from small alphabets, so that times, ids and people
// collide all the time.

const noon = extract.Time(1_715_601_600_000_000_000) // 2024-05-13T12:00:00Z

var offsets = []time.Duration{
	0, 0, 1, 999_999, time.Millisecond, time.Second, time.Second, 59*time.Second + 999_999_999, time.Minute,
	5 * time.Minute, 10 * time.Minute, 29 * time.Minute, 30 * time.Minute, 50 * time.Minute, time.Hour - 1, time.Hour,
	time.Hour + 1, 90 * time.Minute, 2 * time.Hour, 25 * time.Hour,
}

func oneOf[T any](t *rapid.T, name string, values ...T) T {
	return values[rapid.IntRange(0, len(values)-1).Draw(t, name)]
}

func rarely(t *rapid.T, name string) bool { return rapid.IntRange(0, 9).Draw(t, name) == 0 }

func drawTime(t *rapid.T, name string) extract.Time {
	return noon.Add(offsets[rapid.IntRange(0, len(offsets)-1).Draw(t, name)])
}

func drawPerson(t *rapid.T, name string) extract.Person {
	return extract.Person{
		ID:       oneOf(t, name, "", "3", "3", "7", "ann", "i\xff"),
		Name:     oneOf(t, name+" name", "", "", "", "Ann", "Bob", "<x>\x00"),
		Username: oneOf(t, name+" username", "", "", "", "ann", "bob"),
	}
}

func drawKind(t *rapid.T) extract.Kind {
	return oneOf(t, "kind",
		extract.KindMessage, extract.KindMessage, extract.KindMessage, extract.KindMessage, extract.KindMessage,
		extract.KindEnd, extract.KindEnd, extract.KindAssign, extract.KindJoin,
		extract.KindLeave, extract.KindNote, extract.KindIgnore)
}

func drawMessage(t *rapid.T, extras int) extract.Message {
	m := extract.Message{
		MessageID: oneOf(t, "id", "", "", "1", "2", "10", "007", "7", "07", "a", "b", "B", "m\xfe", "12345678901234567890123", "3"),
		SentAt:    drawTime(t, "sent at"),
		Role: oneOf(t, "role", extract.Customer, extract.Customer, extract.Customer,
			extract.Agent, extract.Agent, extract.Bot, extract.System),
		Kind:        drawKind(t),
		Author:      drawPerson(t, "author"),
		Body:        drawBody(t),
		UserID:      drawIdentity(t, "user id"),
		AnonymousID: drawIdentity(t, "anonymous id"),
		Sequence:    oneOf(t, "sequence", extract.Sequence{}, extract.Sequence{}, extract.Sequence{Int: 1}, extract.Sequence{Int: 1, Frac: 0.5}, extract.Sequence{Int: -1}),
		Deleted:     rarely(t, "deleted"),
		Origin:      oneOf[uint32](t, "origin", 0, 0, 1),
	}
	if rapid.Bool().Draw(t, "has changed at") {
		m.ChangedAt = drawTime(t, "changed at")
	}
	if m.Kind == extract.KindAssign || m.Kind == extract.KindJoin || rarely(t, "agent without reason") {
		m.Agent = drawPerson(t, "agent")
	}
	for range extras {
		m.Extra = append(m.Extra, oneOf(t, "extra", "", "1", `"x"`, `{"b": [1, 2], "a":"<"}`, "true"))
	}
	return m
}

func drawBody(t *rapid.T) string {
	return oneOf(t, "body", "", " ", "\u00a0\n", "hi", "hi", "But my stapler...", "<p>a &amp; b</p>", "ann@example.com",
		"call +1 212 555 0123", "bad \xff\xfe", "nul \x00", "line\u2028<&>\"\\\t")
}

func drawIdentity(t *rapid.T, name string) string {
	return oneOf(t, name, "", "", "", "u1", "u2", "u\xff", "null", "N/A", "0", "-", "3", "7", " ", "Anonymous")
}

func drawConversation(t *rapid.T) extract.Conversation {
	c := extract.Conversation{
		UserID:      drawIdentity(t, "conversation user id"),
		AnonymousID: drawIdentity(t, "conversation anonymous id"),
		EndedBy:     oneOf(t, "ended by", "", "", "3", "7"),
	}
	if rapid.Bool().Draw(t, "has changed at") {
		c.ChangedAt = drawTime(t, "changed at")
	}
	if rapid.Bool().Draw(t, "has assignee") {
		c.Assignee = drawPerson(t, "assignee")
	}
	if rapid.Bool().Draw(t, "has ended at") {
		c.EndedAt = drawTime(t, "ended at").Add(oneOf(t, "before or after", -time.Minute, 0, 0, 1, time.Second))
	}
	return c
}

// drawTranscript draws a transcript with every odd case that a source can have.
func drawTranscript(t *rapid.T, extras int) *extract.Transcript {
	tr := &extract.Transcript{ConversationID: oneOf(t, "conversation", "1", "abd627dbecffc", "c\xff")}
	for range rapid.IntRange(0, 12).Draw(t, "rows") {
		tr.Messages = append(tr.Messages, drawMessage(t, extras))
	}
	for range rapid.IntRange(0, 3).Draw(t, "copies") {
		if len(tr.Messages) > 0 {
			tr.Messages = append(tr.Messages, drawCopy(t, oneOf(t, "copied", tr.Messages...)))
		}
	}
	for range oneOf(t, "conversation rows", 0, 0, 1, 1, 2, 3) {
		tr.Conversations = append(tr.Conversations, drawConversation(t))
	}
	for i := range tr.Messages {
		tr.Messages[i].ConversationID = tr.ConversationID
	}
	for i := range tr.Conversations {
		tr.Conversations[i].ConversationID = tr.ConversationID
	}
	if rarely(t, "filtered") {
		tr.Filtered = 2
	}
	if rarely(t, "rejected") {
		tr.Rejects = append(tr.Rejects, extract.Reject{Reason: extract.BadTimestamp, Set: oneOf(t, "set", extract.SetMessages, "conversations")})
	}
	return tr
}

// drawCopy draws what else a source may have of a row: the same again, in
// another file, or a version that differs somewhere.
func drawCopy(t *rapid.T, m extract.Message) extract.Message {
	switch rapid.IntRange(0, 11).Draw(t, "copy") {
	case 0:
		m.Origin++
	case 1:
		m.ChangedAt = drawTime(t, "changed at")
	case 2:
		m.Body = drawBody(t)
	case 3:
		m.Role = oneOf(t, "role", extract.Customer, extract.Agent, extract.Bot)
	case 4:
		m.Kind = drawKind(t)
	case 5:
		m.Author = drawPerson(t, "author")
	case 6:
		m.SentAt = drawTime(t, "sent at")
	case 7:
		m.Deleted = !m.Deleted
	case 8:
		m.Sequence.Int++
	case 9:
		m.UserID = drawIdentity(t, "user id")
	case 10:
		m.Extra = slices.Clone(m.Extra)
		slices.Reverse(m.Extra)
	}
	return m
}

func drawOptions(t *rapid.T) Options {
	o := Options{
		Namespace:    "support-chat",
		Label:        "prod",
		Agent:        oneOf(t, "agent option", Handling, Handling, Handling, FirstResponder, LastResponder, Assignee, NoAgent),
		WaitForAgent: oneOf(t, "wait", 0, time.Minute, time.Hour, time.Hour),
		Final:        rarely(t, "final"),
		Bots:         oneOf(t, "bots", Include, Include, Exclude),
		Outbound:     oneOf(t, "outbound", Include, Include, Exclude),
		EndAfterIdle: oneOf(t, "idle", 0, 0, time.Minute, 30*time.Minute),
		Identity:     oneOf(t, "identity", AnonymousID, AnonymousID, RejectUnknown),
		MessageBody:  oneOf(t, "message body", IncludeBody, IncludeBody, RedactBody, OmitBody),
		BodyFormat:   oneOf(t, "body format", Text, Text, HTML),
		HoldRejected: rapid.Bool().Draw(t, "hold"),
	}
	for _, name := range DerivedProperties {
		if rapid.Bool().Draw(t, name) {
			o.Derived = append(o.Derived, name)
		}
	}
	o.Extra = slices.Clone([]string{"zeta", "channel"}[:rapid.IntRange(0, 2).Draw(t, "extras")])
	if rapid.Bool().Draw(t, "constants") {
		o.Properties = map[string]any{"brand": "a<b", "message_z": 1.5, "absent": nil}
		o.Settings = Settings{
			Context:      map[string]any{"channel": "chat", "app": map[string]any{"name": "x&y"}},
			Integrations: map[string]any{"All": false, "Amplitude": true},
		}
	}
	if rapid.Bool().Draw(t, "directory") {
		o.Directory = map[string]extract.DirectoryAgent{
			"3": {Person: extract.Person{ID: "3", Name: "Peter Gibbons", Username: "pgibbons"}},
			"7": {Person: extract.Person{ID: "7", Username: "seven"}},
		}
	}
	if rarely(t, "suppress") {
		o.Suppressed = func(id string) bool { return id == "u2" }
	}
	return o
}

func drawKnown(t *rapid.T) Known {
	k := Known{Horizon: drawTime(t, "horizon").Add(oneOf(t, "horizon more", 0, time.Minute, time.Hour))}
	if rarely(t, "has a start") {
		k.Start = drawTime(t, "start")
	}
	return k
}
