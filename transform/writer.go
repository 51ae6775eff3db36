package transform

import (
	"strconv"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
)

// writer encodes events. It keeps what the next event most likely has as well:
// the customer, the agent, the conversation and the day.
type writer struct {
	customer         customer
	customerJSON     []byte
	agent            Agent
	agentJSON        []byte
	conversation     string
	conversationJSON []byte
	day              int64 // since the Unix epoch
	date             []byte
}

const (
	beforeID = `{"type":"track","messageId":"`
	opening  = beforeID + noID
)

// beforeTime is what comes between whose event it is and its time, by Name.
var beforeTime = func() (all [len(eventNames)]string) {
	for i, name := range eventNames {
		all[i] = `,"event":"` + name + `","timestamp":"`
	}
	return all
}()

// event appends e as encoding/json encodes the analytics-go track of the same
// event, byte for byte.
func (w *writer) event(b []byte, e *Event) []byte {
	b = append(b, opening...)
	e.ID.writeTo(b[len(b)-idLen:])
	b = append(b, w.whose(e)...)
	b = append(b, beforeTime[e.Name]...)
	b = w.time(b, e.Timestamp)
	b = append(b, e.Settings.beforeProperties...)
	open := len(b)
	b = w.properties(b, e)
	b[open] = '{' // in place of the first comma
	return append(b, e.Settings.afterProperties...)
}

// whose returns the customer's ids, encoded, after the quote that closes the
// event's id.
func (w *writer) whose(e *Event) []byte {
	if who := (customer{e.UserID, e.AnonymousID}); who != w.customer || w.customerJSON == nil {
		w.customer = who
		w.customerJSON = appendText(append(w.customerJSON[:0], '"'), `,"anonymousId":"`, who.anonymousID)
		w.customerJSON = appendText(w.customerJSON, `,"userId":"`, who.userID)
	}
	return w.customerJSON
}

// properties appends the properties in the order of their keys, each after a
// comma.
func (w *writer) properties(b []byte, e *Event) []byte {
	more := e.Properties
	if len(more) == 0 {
		b = append(b, w.agentOf(e)...)
	} else {
		b, more = appendBefore(b, more, "agent_id")
		b = appendText(b, `,"agent_id":"`, e.Agent.ID)
		b, more = appendBefore(b, more, "agent_name")
		b = appendText(b, `,"agent_name":"`, e.Agent.Name)
		b, more = appendBefore(b, more, "agent_username")
		b = appendText(b, `,"agent_username":"`, e.Agent.Username)
		b, more = appendBefore(b, more, "conversation_duration")
		b = append(b, beforeDuration...)
	}
	b = strconv.AppendInt(b, e.Duration, 10)
	b, more = appendBefore(b, more, "conversation_id")
	b = append(b, w.conversationOf(e)...)
	b, more = appendBefore(b, more, "message_body")
	b = appendText(b, `,"message_body":"`, e.Body)
	b, more = appendBefore(b, more, "message_id")
	b = appendText(b, `,"message_id":"`, e.MessageID)
	return appendAll(b, more)
}

const beforeDuration = `,"conversation_duration":`

// agentOf returns the properties of the agent, and beforeDuration, between which
// there are no others.
func (w *writer) agentOf(e *Event) []byte {
	if e.Agent != w.agent || w.agentJSON == nil {
		w.agent = e.Agent
		w.agentJSON = appendText(w.agentJSON[:0], `,"agent_id":"`, e.Agent.ID)
		w.agentJSON = appendText(w.agentJSON, `,"agent_name":"`, e.Agent.Name)
		w.agentJSON = appendText(w.agentJSON, `,"agent_username":"`, e.Agent.Username)
		w.agentJSON = append(w.agentJSON, beforeDuration...)
	}
	return w.agentJSON
}

func (w *writer) conversationOf(e *Event) []byte {
	if e.ConversationID != w.conversation {
		w.conversation = e.ConversationID
		w.conversationJSON = appendText(w.conversationJSON[:0], `,"conversation_id":"`, e.ConversationID)
	}
	return w.conversationJSON
}

// appendText appends a key, as it is up to the quote that opens its value, and
// the value, if there is one.
func appendText(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, key...), value)
}

// appendBefore appends the properties that come before key and returns the others.
func appendBefore(b []byte, more []Property, key string) ([]byte, []Property) {
	if len(more) == 0 { // most often, and cheap as this much is inlined
		return b, nil
	}
	return appendSome(b, more, key)
}

func appendSome(b []byte, more []Property, key string) ([]byte, []Property) {
	n := 0
	for n < len(more) && more[n].Key < key {
		n++
	}
	return appendAll(b, more[:n]), more[n:]
}

func appendAll(b []byte, all []Property) []byte {
	for _, p := range all {
		b = append(appendString(append(b, `,"`...), p.Key), ':')
		b = append(b, p.Value...)
	}
	return b
}

// time appends t in RFC 3339 with no more digits than it needs, as time.Time
// encodes itself. Most times are whole milliseconds.
func (w *writer) time(b []byte, t extract.Time) []byte {
	const perDay = int64(24 * time.Hour / time.Millisecond)
	if t%extract.Time(time.Millisecond) != 0 {
		return t.Time().AppendFormat(b, time.RFC3339Nano)
	}
	ms := int64(t) / int64(time.Millisecond)
	day := ms / perDay
	if ms -= day * perDay; ms < 0 {
		day, ms = day-1, ms+perDay
	}
	if day != w.day || w.date == nil {
		w.day, w.date = day, t.Time().AppendFormat(w.date[:0], "2006-01-02T")
	}
	b = append(b, w.date...)
	s := uint32(ms / 1000)
	hour, minute, second := s/3600, s/60%60, s%60
	b = append(b, digit(hour/10), digit(hour%10), ':', digit(minute/10), digit(minute%10), ':', digit(second/10), digit(second%10))
	if ms %= 1000; ms != 0 {
		b = appendMillis(b, ms)
	}
	return append(b, 'Z')
}

func digit(n uint32) byte { return byte('0' + n) }

// appendMillis appends the thousandths of a second without zeros at the end.
func appendMillis(b []byte, ms int64) []byte {
	b = append(b, '.', byte('0'+ms/100))
	if ms%100 != 0 {
		b = append(b, byte('0'+ms/10%10))
	}
	if ms%10 != 0 {
		b = append(b, byte('0'+ms%10))
	}
	return b
}
