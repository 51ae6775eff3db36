package transform

import (
	"encoding/json"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/segmentio/analytics-go/v3"

	"github.com/chatbackfill/chatbackfill/extract"
)

// The second half of the naive implementation: whose events there are, and what
// is in them.

// naivePerson is a candidate for an event's identity.
type naivePerson struct{ userID, anonymousID string }

func (n *naive) knownID(id string) string {
	switch strings.ToLower(strings.TrimSpace(id)) {
	case "", "null", "none", "nil", "undefined", "anonymous", "n/a", "0", "-":
		return ""
	}
	for _, r := range n.rows {
		if (r.Role == extract.Agent || r.Role == extract.Bot) && r.Author.ID == id {
			return ""
		}
	}
	return id
}

// person is the customer who wrote row i.
func (n *naive) person(i int) (p naivePerson) {
	for j, r := range n.rows {
		same := j == i || r.Author.ID != "" && r.Author.ID == n.rows[i].Author.ID
		if r.Role != extract.Customer || !same {
			continue
		}
		if p.userID == "" {
			p.userID = n.knownID(r.UserID)
		}
		if p.anonymousID == "" {
			p.anonymousID = n.knownID(r.AnonymousID)
		}
	}
	return p
}

// identity is whose event it is. own is the event's row or -1.
func (n *naive) identity(own int) naivePerson {
	var candidates []naivePerson
	if own >= 0 && n.rows[own].Role == extract.Customer {
		candidates = append(candidates, n.person(own))
	}
	if n.first >= 0 {
		candidates = append(candidates, n.person(n.first))
	}
	for i, r := range n.rows {
		if r.Role == extract.Customer {
			candidates = append(candidates, n.person(i))
		}
	}
	candidates = append(candidates, naivePerson{n.knownID(n.said.UserID), n.knownID(n.said.AnonymousID)})
	for _, p := range candidates {
		if p.userID != "" {
			return p
		}
	}
	for _, p := range candidates {
		if p.anonymousID != "" {
			return p
		}
	}
	if n.o.Identity == AnonymousID {
		return naivePerson{"", naiveUUID(n.o, n.conversation, "anonymous")}
	}
	return naivePerson{}
}

func (n *naive) derive(res *naiveResult) {
	for i, r := range n.rows {
		if r.isMessage && res.Rejected == "" {
			n.message(i, res)
		}
		for k := range n.ends {
			if e := &n.ends[k]; e.place == i {
				n.event(Ended, i, e, res)
			}
		}
	}
}

func (n *naive) message(i int, res *naiveResult) {
	r := &n.rows[i]
	switch {
	case r.Role == extract.Customer:
		if i == n.startRow() {
			n.event(Started, i, nil, res)
		}
		n.event(Sent, i, nil, res)
	case n.first < 0 && n.o.Outbound == Exclude:
		if r.Kind == extract.KindMessage {
			r.outcome = Ignored + "outbound"
		}
	case r.Role == extract.Bot && n.o.Bots == Exclude:
		if r.Kind == extract.KindMessage {
			r.outcome = Ignored + "bot"
		}
	default:
		n.event(Received, i, nil, res)
	}
}

// event derives one event, at row i or of the end e.
func (n *naive) event(name Name, i int, e *naiveEnd, res *naiveResult) {
	if res.Rejected != "" {
		return
	}
	own, at, message := i, n.rows[i].SentAt, i
	if e != nil {
		own, at, message = e.row, e.at, e.last
	}
	whose := n.identity(own)
	if whose == (naivePerson{}) {
		n.reject(NoIdentity, res)
		res.Tally.Events = map[Outcome]int{}
		return
	}
	who, final := n.agent(i, e), true
	switch author := n.rows[i].Author; {
	case name == Received && n.rows[i].Role == extract.Bot:
		who = naiveActor{extract.Bot, author, true}
	case name == Received && author.Known():
		who = naiveActor{extract.Agent, author, true}
	case e == nil:
		final = n.final(i, who)
	}
	if !final {
		n.due(at.Add(n.o.WaitForAgent), res)
		n.rows[i].outcome = Waiting
		res.Tally.Events[Waiting]++
		return
	}
	track := n.track(name, at, message, whose, n.complete(who))
	n.properties(track.Properties, name, i, own, e)
	n.encode(track, own, res)
}

func (n *naive) track(name Name, at extract.Time, message int, whose naivePerson, agent extract.Person) analytics.Track {
	r := n.rows[message]
	p := analytics.Properties{"conversation_id": naiveText(r.ConversationID), "message_id": naiveText(r.MessageID)}
	duration := int64(0)
	if n.start != 0 && at > n.start {
		duration = int64(at.Sub(n.start) / time.Second)
	}
	p["conversation_duration"] = duration
	for key, value := range map[string]string{"agent_id": agent.ID, "agent_name": agent.Name, "agent_username": agent.Username} {
		if value != "" {
			p[key] = naiveText(value)
		}
	}
	t := analytics.Track{
		Type: "track", MessageId: naiveUUID(n.o, r.ConversationID, name.String(), r.MessageID), Event: name.String(),
		UserId: naiveText(whose.userID), AnonymousId: naiveText(whose.anonymousID), Properties: p,
		Timestamp: at.Time().Truncate(time.Millisecond), Integrations: n.o.Settings.Integrations,
	}
	if len(n.o.Settings.Context) > 0 {
		t.Context = &analytics.Context{Extra: n.o.Settings.Context}
	}
	return t
}

func naiveText(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c == 0 {
			c = utf8.RuneError
		}
		b.WriteRune(c)
	}
	return b.String()
}

// properties adds the body and what is not in the spec.
func (n *naive) properties(p analytics.Properties, name Name, i, own int, e *naiveEnd) {
	for key, value := range n.o.Properties {
		if value != nil {
			p[key] = value
		}
	}
	if own >= 0 && n.rows[own].isMessage {
		r := n.rows[own]
		if text := naiveText(n.clean(r.Message)); !r.Deleted && n.o.MessageBody != OmitBody && strings.TrimSpace(text) != "" {
			p["message_body"] = text
		}
	}
	if own >= 0 {
		for k, key := range n.o.Extra {
			if value := n.rows[own].Extra[k]; value != "" && value != "null" {
				p[key] = json.RawMessage(value)
			}
		}
	}
	if e != nil && e.inferred {
		p["conversation_end_inferred"] = true
	}
	for _, key := range n.o.Derived {
		if value := n.derived(key, name, i); value >= 0 {
			p[key] = value
		}
	}
}

// derived is the value of a derived property at row i, or -1.
func (n *naive) derived(key string, name Name, i int) int64 {
	var messages, customers, humans, firstResponse, response int64 = 0, 0, 0, -1, -1
	names := map[extract.Person]bool{}
	unanswered := extract.Time(0)
	for j := 0; j <= i; j++ {
		r := n.rows[j]
		if !r.isMessage {
			continue
		}
		messages++
		response = -1
		switch r.Role {
		case extract.Customer:
			customers++
			if unanswered == 0 {
				unanswered = r.SentAt
			}
		case extract.Agent:
			humans++
			if who := r.Author; who.ID != "" {
				names[extract.Person{ID: who.ID}] = true
			} else if who.Known() {
				names[who] = true
			}
			if firstResponse < 0 && n.afterStart(j) {
				firstResponse = int64(r.SentAt.Sub(n.start) / time.Second)
			}
			if unanswered != 0 {
				response = int64(r.SentAt.Sub(unanswered) / time.Second)
			}
			unanswered = 0
		}
	}
	if name == Ended {
		switch key {
		case "first_response_seconds":
			return firstResponse
		case "message_count":
			return messages
		case "customer_message_count":
			return customers
		case "agent_message_count":
			return humans
		case "agent_count":
			return int64(len(names))
		}
		return -1
	}
	switch {
	case key == "response_seconds" && name == Received && n.rows[i].Role == extract.Agent:
		return response
	case key == "message_index" && name != Started:
		return messages
	}
	return -1
}

// encode encodes the event in at most 32,000 bytes.
func (n *naive) encode(t analytics.Track, own int, res *naiveResult) {
	size := func() int {
		encoded, err := json.Marshal(t)
		if err != nil {
			panic(err)
		}
		return len(encoded)
	}
	if body, ok := t.Properties["message_body"].(string); ok && size() > 32_000 {
		runes := []rune(body)
		t.Properties["message_body_truncated"] = true
		tooLong := sort.Search(len(runes), func(i int) bool {
			t.Properties["message_body"] = string(runes[:i+1])
			return size() > 32_000
		})
		t.Properties["message_body"] = string(runes[:tooLong])
		if tooLong == 0 {
			delete(t.Properties, "message_body")
		}
	}
	outcome := Caused
	if size() > 32_000 {
		outcome = Rejected + Outcome(TooLarge)
		res.Tally.Events[outcome]++
		res.Rejects = append(res.Rejects, extract.Reject{Reason: TooLarge, Locator: t.MessageId})
	} else {
		encoded, _ := json.Marshal(t)
		res.JSON = append(res.JSON, string(encoded))
	}
	if own >= 0 && n.rows[own].outcome != Caused {
		n.rows[own].outcome = outcome
	}
}
