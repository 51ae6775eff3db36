package extract

import (
	"strings"
	"testing"
	"time"
)

// FuzzTimes: whatever a text and its mapping, there is a time in the range that
// times have, or none; and a time that is printed is read back.
func FuzzTimes(f *testing.F) {
	for _, text := range []string{
		"2025-03-01T12:00:00Z", "2025-03-01 12:00:00.123456+05:30", "20250301", "1740830400", "1740830400000", "1740830400.5", "-1e300",
		"0001-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "infinity", "2025-02-30", "2025-03-01T24:00:00", "", "NaN", "1e19", "2025-W09-6",
	} {
		f.Add(text, "", "UTC")
	}
	f.Add("1740830400123", "ms", "America/Sao_Paulo")
	f.Add("2025-03-30 02:30:00", "s", "Europe/Berlin")
	f.Fuzz(func(t *testing.T, text, unit, zone string) {
		step, known := timeUnits[unit]
		location, err := time.LoadLocation(zone)
		if !known || err != nil || zone == "Local" {
			return
		}
		r := timeReader{unit: step, zone: location}
		at, ok := r.text(text)
		if !ok {
			return
		}
		if at < firstTime || at > lastTime {
			t.Fatalf("%q is %d, out of range", text, at)
		}
		if back, ok := (timeReader{}).text(at.Time().Format(time.RFC3339Nano)); !ok || back != at {
			t.Errorf("%q is %v, printed and read %v (%t)", text, at, back, ok)
		}
	})
}

// FuzzPosition: a text is no position, or it is what the position prints. Of two
// positions one is before the other, or they are equal.
func FuzzPosition(f *testing.F) {
	f.Add("")
	f.Add(string(pointOf("chat-1").position()))
	f.Add(string(pointOf("").position()))
	f.Add(string((&PostgresPass{}).After("chat-1")))
	f.Add("h1-00-")
	f.Add("p1-bytes-zz")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parsePosition(Position(text)); err == nil {
			if p.position() != Position(text) {
				t.Errorf("%q is printed as %q", text, p.position())
			}
			if start := (point{}); p.compare(start) < 0 || p.compare(p) != 0 {
				t.Errorf("%q is before the start, or not equal to itself", text)
			}
		}
		pass := &PostgresPass{}
		if id, err := pass.parse(Position(text)); err == nil && pass.After(id) != Position(text) {
			t.Errorf("%q is printed as %q", text, pass.After(id))
		}
	})
}

// FuzzMapping: whatever values a row has, there is a message with all that is
// required, or a reject that says why.
func FuzzMapping(f *testing.F) {
	f.Add("c1", "m1", "2025-03-01T12:00:00Z", "user", "comment", "hello", "7")
	f.Add("", "", "", "", "", "", "")
	f.Add("c\x1f1", "m\x00", "1e400", "robot", "rating", "\xff\xfe", "-0.0")
	f.Add("007", " ", "infinity", "USER", "close", strings.Repeat("ü", 100), "1e-9")
	fields := map[string]Field{
		"role": {Values: map[string]string{"user": "customer", "admin": "agent"}},
		"kind": {Values: map[string]string{"comment": "message", "close": "end"}},
	}
	f.Fuzz(func(t *testing.T, chat, id, at, who, what, text, seq string) {
		m, values, err := compileFor(SetMessages, messageFields, rowOf{
			"conversation_id": textValue(chat), "message_id": textValue(id), "sent_at": textValue(at), "role": textValue(who),
			"kind": textValue(what), "body": textValue(text), "sequence": textValue(seq),
		}, fields)
		if err != nil {
			t.Fatal(err)
		}
		var got Message
		reject := m.Message(values, new(Scratch), &got)
		switch {
		case reject == nil && Ignored(got.Kind, got.Role) == "" && (got.ConversationID == "" || got.SentAt == 0 || got.Role == 0):
			t.Errorf("%v became %+v", values, got)
		case reject != nil && reject.Reason == "":
			t.Errorf("%v is rejected without a reason", values)
		}
	})
}
