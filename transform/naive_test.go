package transform

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/segmentio/analytics-go/v3"

	"github.com/chatbackfill/chatbackfill/extract"
)

// This file is a second implementation of the rules, slow and obvious: it scans
// all rows for every question and encodes with encoding/json and analytics-go.
// [TestBuildIsNaive] holds [Builder.Build] to it. Only the cleaning of bodies
// (redaction, HTML) is shared between the two.

type naiveRow struct {
	extract.Message
	isMessage bool
	outcome   Outcome
}

type naiveEnd struct {
	place, last int // of rows: the one it comes after, and the last message up to there
	bound       int // the last row that looking ahead to it sees
	at          extract.Time
	row         int // -1: it has none
	by          string
	inferred    bool
}

type naive struct {
	o     Options
	known Known
	said  extract.Conversation

	conversation string
	unread       []extract.Reject
	clean        func(extract.Message) string

	rows  []naiveRow
	first int
	start extract.Time
	ends  []naiveEnd
}

type naiveResult struct {
	JSON     []string
	Start    extract.Time
	Due      extract.Time
	Rejected extract.Reason
	Rejects  []extract.Reject
	Tally    Tally
}

func naiveBuild(o Options, t *extract.Transcript, known Known) naiveResult {
	o.setDefaults()
	body, err := newBodyText(o)
	if err != nil {
		panic(err)
	}
	n := &naive{o: o, known: known, conversation: t.ConversationID, unread: t.Rejects, clean: func(m extract.Message) string { return body.of(&m) }}
	res := naiveResult{Tally: NewTally(), Rejects: slices.Clone(t.Rejects)}
	n.read(t, &res)
	if len(n.rows) > 0 || len(t.Rejects) > 0 {
		n.build(t, &res)
	}
	for _, r := range n.rows {
		res.Tally.Rows[r.outcome]++
	}
	return res
}

// read takes the rows that count, in their order.
func (n *naive) read(t *extract.Transcript, res *naiveResult) {
	if t.Filtered > 0 {
		res.Tally.Rows[Filtered] = t.Filtered
	}
	var looked []extract.Message
	for _, m := range t.Messages {
		switch {
		case m.Kind == extract.KindNote, m.Kind == extract.KindLeave, m.Kind == extract.KindIgnore:
			res.Tally.Rows[Ignored+Outcome(m.Kind.String())]++
		case m.Kind == extract.KindMessage && m.Role == extract.System:
			res.Tally.Rows[Ignored+"system"]++
		default:
			looked = append(looked, m)
		}
	}
	for i, id := range naiveIDs(n.o, looked) {
		looked[i].MessageID = id
	}
	versions := map[string]extract.Message{}
	for _, m := range looked {
		other, again := versions[m.MessageID]
		if again {
			res.Tally.Rows[Duplicate]++
		}
		if !again || naiveNewer(m, other) {
			versions[m.MessageID] = m
		}
	}
	for _, m := range versions {
		wrote := m.Kind == extract.KindMessage || m.Role != extract.System && strings.TrimSpace(m.Body) != ""
		n.rows = append(n.rows, naiveRow{Message: m, isMessage: wrote, outcome: Informs})
	}
	sort.Slice(n.rows, func(i, j int) bool { return naiveBefore(n.rows[i], n.rows[j]) })
	for i, c := range t.Conversations {
		if i == 0 || naiveLater(c, n.said) {
			n.said = c
		}
	}
}

func naiveUUID(o Options, parts ...string) string {
	root := uuid.NewSHA1(uuid.NameSpaceURL, []byte("chatbackfill:"+o.Namespace+"\x1f"+o.Label))
	return uuid.NewSHA1(root, []byte(strings.Join(parts, "\x1f"))).String()
}

// naiveIDs gives an id to every row that has none. Equal rows of one origin are
// counted; which of them gets which number must not depend on their order of
// arrival, so it goes by their fields.
func naiveIDs(o Options, all []extract.Message) []string {
	ids := make([]string, len(all))
	for i, m := range all {
		ids[i] = m.MessageID
		if m.MessageID != "" {
			continue
		}
		number := 0
		for j, other := range all {
			equal := other.MessageID == "" && other.Origin == m.Origin && other.SentAt == m.SentAt &&
				other.Author.ID == m.Author.ID && other.Body == m.Body
			before := naiveFields(other, m)
			if equal && (before < 0 || before == 0 && j < i) {
				number++
			}
		}
		ids[i] = naiveUUID(o, m.ConversationID, fmt.Sprint(int64(m.SentAt)), m.Author.ID, m.Body, fmt.Sprint(number))
	}
	return ids
}

func naiveNewer(x, y extract.Message) bool {
	xChanged, yChanged := x.ChangedAt, y.ChangedAt
	if xChanged == 0 {
		xChanged = x.SentAt
	}
	if yChanged == 0 {
		yChanged = y.SentAt
	}
	if xChanged != yChanged {
		return xChanged > yChanged
	}
	return naiveFields(x, y) > 0
}

// naiveFields compares two rows by all their fields in the order of the table.
func naiveFields(x, y extract.Message) int {
	for _, c := range []int{
		strings.Compare(x.MessageID, y.MessageID),
		naiveNumbers(int64(x.SentAt), int64(y.SentAt)),
		naiveNumbers(int64(x.ChangedAt), int64(y.ChangedAt)),
		strings.Compare(x.Role.String(), y.Role.String()),
		strings.Compare(x.Kind.String(), y.Kind.String()),
		strings.Compare(x.Author.ID, y.Author.ID),
		strings.Compare(x.Author.Name, y.Author.Name),
		strings.Compare(x.Author.Username, y.Author.Username),
		strings.Compare(x.Agent.ID, y.Agent.ID),
		strings.Compare(x.Agent.Name, y.Agent.Name),
		strings.Compare(x.Agent.Username, y.Agent.Username),
		strings.Compare(x.Body, y.Body),
		strings.Compare(x.UserID, y.UserID),
		strings.Compare(x.AnonymousID, y.AnonymousID),
		x.Sequence.Compare(y.Sequence),
		strings.Compare(fmt.Sprint(x.Deleted), fmt.Sprint(y.Deleted)),
		slices.Compare(x.Extra, y.Extra),
	} {
		if c != 0 {
			return c
		}
	}
	return 0
}

func naiveNumbers(x, y int64) int { return big.NewInt(x).Cmp(big.NewInt(y)) }

func naiveBefore(x, y naiveRow) bool {
	switch {
	case x.SentAt != y.SentAt:
		return x.SentAt < y.SentAt
	case x.Sequence.Compare(y.Sequence) != 0:
		return x.Sequence.Compare(y.Sequence) < 0
	case (x.Kind == extract.KindEnd) != (y.Kind == extract.KindEnd):
		return y.Kind == extract.KindEnd
	}
	xDigits, yDigits := strings.Trim(x.MessageID, "0123456789") == "", strings.Trim(y.MessageID, "0123456789") == ""
	if xDigits != yDigits {
		return xDigits
	}
	if xDigits {
		xValue, _ := new(big.Int).SetString(x.MessageID, 10)
		yValue, _ := new(big.Int).SetString(y.MessageID, 10)
		if c := xValue.Cmp(yValue); c != 0 {
			return c < 0
		}
	}
	return x.MessageID < y.MessageID
}

// naiveLater reports whether x is the version of a conversation's row to take.
func naiveLater(x, y extract.Conversation) bool {
	for _, c := range []int{
		naiveNumbers(int64(x.ChangedAt), int64(y.ChangedAt)),
		strings.Compare(x.UserID, y.UserID),
		strings.Compare(x.AnonymousID, y.AnonymousID),
		strings.Compare(x.Assignee.ID, y.Assignee.ID),
		strings.Compare(x.Assignee.Name, y.Assignee.Name),
		strings.Compare(x.Assignee.Username, y.Assignee.Username),
		naiveNumbers(int64(x.EndedAt), int64(y.EndedAt)),
		strings.Compare(x.EndedBy, y.EndedBy),
	} {
		if c != 0 {
			return c > 0
		}
	}
	return false
}

func (n *naive) build(t *extract.Transcript, res *naiveResult) {
	res.Tally.Conversations = 1
	suppressed := n.o.Suppressed != nil && n.listed()
	for _, r := range t.Rejects {
		switch {
		case r.Set != extract.MessagesSet:
		case suppressed:
			res.Tally.Rows[Suppressed]++
		default:
			res.Tally.Rows[Rejected+Outcome(r.Reason)]++
		}
	}
	if suppressed {
		res.Rejects = nil
		for i := range n.rows {
			n.rows[i].outcome = Suppressed
		}
		return
	}
	if len(t.Rejects) > 0 && n.o.HoldRejected {
		n.reject(Held, res)
		return
	}
	n.first = slices.IndexFunc(n.rows, func(r naiveRow) bool { return r.isMessage && r.Role == extract.Customer })
	if n.first >= 0 {
		n.start = n.rows[n.first].SentAt
	}
	if n.known.Start != 0 {
		n.start = n.known.Start
		if n.first >= 0 && n.rows[n.first].SentAt != n.start {
			res.Tally.StartedLate = 1
		}
	}
	res.Start = n.start
	n.findEnds(res)
	n.derive(res)
}

func (n *naive) reject(why extract.Reason, res *naiveResult) {
	res.Rejected, res.Due, res.JSON = why, 0, nil
	res.Rejects = append(slices.Clone(n.unread), extract.Reject{Reason: why, Locator: fmt.Sprintf("conversation %q", naiveText(n.conversation))})
	for i := range n.rows {
		n.rows[i].outcome = Rejected + Outcome(why)
	}
}

func (n *naive) listed() bool {
	ids := []string{n.knownID(n.said.UserID), n.knownID(n.said.AnonymousID)}
	for _, r := range n.rows {
		if r.Role == extract.Customer {
			ids = append(ids, n.knownID(r.UserID), n.knownID(r.AnonymousID))
		}
	}
	return slices.ContainsFunc(ids, func(id string) bool { return id != "" && n.o.Suppressed(id) })
}

// findEnds finds the ends that yield an event.
func (n *naive) findEnds(res *naiveResult) {
	if n.first < 0 {
		return
	}
	add := func(e naiveEnd) {
		e.last = e.place
		if !e.inferred {
			e.bound = e.place
		}
		for !n.rows[e.last].isMessage {
			e.last--
		}
		if !slices.ContainsFunc(n.ends, func(other naiveEnd) bool { return other.last == e.last }) {
			n.ends = append(n.ends, e)
		}
	}
	for i, r := range n.rows {
		if r.Kind == extract.KindEnd && i >= n.first {
			add(naiveEnd{place: i, at: r.SentAt, row: i})
		}
	}
	if n.said.EndedAt != 0 {
		place := -1
		for i, r := range n.rows {
			if r.SentAt <= n.said.EndedAt {
				place = i
			}
		}
		if place >= n.first {
			add(naiveEnd{place: place, at: n.said.EndedAt, row: -1, by: n.said.EndedBy})
		}
	}
	for i, r := range n.rows {
		if i < n.first || !r.isMessage || n.o.EndAfterIdle == 0 {
			continue
		}
		until := n.known.Horizon
		next := slices.IndexFunc(n.rows[i+1:], func(r naiveRow) bool { return r.isMessage })
		if next >= 0 {
			until = n.rows[i+1+next].SentAt
		}
		before := len(n.ends)
		if until.Sub(r.SentAt) >= n.o.EndAfterIdle || next < 0 && n.o.Final {
			add(naiveEnd{place: i, bound: n.lastBefore(r.SentAt.Add(n.o.EndAfterIdle)), at: r.SentAt, row: -1, inferred: true})
		} else if next < 0 && !slices.ContainsFunc(n.ends[:before], func(e naiveEnd) bool { return e.last == i }) {
			n.due(r.SentAt.Add(n.o.EndAfterIdle), res)
		}
	}
	sort.SliceStable(n.ends, func(i, j int) bool { return n.ends[i].place < n.ends[j].place })
}

// lastBefore is the last row before a time.
func (n *naive) lastBefore(at extract.Time) int {
	place := -1
	for i, r := range n.rows {
		if r.SentAt < at {
			place = i
		}
	}
	return place
}

func (n *naive) due(at extract.Time, res *naiveResult) {
	if res.Due == 0 || at < res.Due {
		res.Due = at
	}
}

// naiveActor is an agent or a bot, and where it comes from.
type naiveActor struct {
	role extract.Role
	extract.Person
	found bool // in a row, by looking back or ahead
}

func (n *naive) acts(r naiveRow) (naiveActor, bool) {
	who := r.Author
	if r.Kind == extract.KindAssign || r.Kind == extract.KindJoin {
		if r.Agent.Known() {
			return naiveActor{extract.Agent, r.Agent, true}, true
		}
	}
	return naiveActor{extract.Agent, who, true}, r.Role == extract.Agent && who.Known()
}

func (n *naive) handling(place int, lookAhead bool) naiveActor {
	for i := place; i >= 0; i-- {
		if who, ok := n.acts(n.rows[i]); ok {
			return who
		}
	}
	if lookAhead {
		bound := len(n.rows) - 1
		for _, e := range n.ends {
			if e.place >= place && e.bound < bound {
				bound = e.bound
			}
		}
		for i := place + 1; i <= bound; i++ {
			if who, ok := n.acts(n.rows[i]); ok {
				return who
			}
		}
	}
	if n.said.Assignee.Known() {
		return naiveActor{extract.Agent, n.said.Assignee, false}
	}
	for i := place; i >= 0 && n.o.Bots == Include; i-- {
		if r := n.rows[i]; r.isMessage && r.Role == extract.Bot && r.Author.Known() {
			return naiveActor{extract.Bot, r.Author, false}
		}
	}
	return naiveActor{}
}

func (n *naive) afterStart(i int) bool {
	if n.first < 0 || n.rows[i].SentAt < n.start {
		return false
	}
	if n.rows[i].SentAt > n.start {
		return true
	}
	for j, r := range n.rows {
		if r.isMessage && r.Role == extract.Customer && r.SentAt == n.start {
			return i > j
		}
	}
	return true
}

// startRow is the row of the message that starts the conversation, or -1: the
// first customer message at the time of the start.
func (n *naive) startRow() int {
	return slices.IndexFunc(n.rows, func(r naiveRow) bool {
		return r.isMessage && r.Role == extract.Customer && r.SentAt == n.start
	})
}

// agent is the agent of the Started or Sent of a row, of a Received without
// author, or of an end at it.
func (n *naive) agent(i int, e *naiveEnd) naiveActor {
	human := func(i int) bool {
		return n.rows[i].isMessage && n.rows[i].Role == extract.Agent && n.rows[i].Author.Known()
	}
	switch n.o.Agent {
	case NoAgent:
		return naiveActor{}
	case Assignee:
		return naiveActor{extract.Agent, n.said.Assignee, false}
	case FirstResponder:
		for i := range n.rows {
			if human(i) && n.afterStart(i) {
				return naiveActor{extract.Agent, n.rows[i].Author, true}
			}
		}
		return naiveActor{}
	case LastResponder:
		for i := len(n.rows) - 1; i >= 0; i-- {
			if human(i) {
				return naiveActor{extract.Agent, n.rows[i].Author, false}
			}
		}
		return naiveActor{}
	}
	if e == nil {
		return n.handling(i, true)
	}
	if e.row >= 0 && n.rows[e.row].Role == extract.Agent && n.rows[e.row].Author.Known() {
		return naiveActor{extract.Agent, n.rows[e.row].Author, true}
	}
	if e.by != "" {
		return naiveActor{extract.Agent, extract.Person{ID: e.by}, true}
	}
	return n.handling(e.place, false)
}

// final reports whether no later row can change the agent of an event at row i.
func (n *naive) final(i int, who naiveActor) bool {
	ended := slices.ContainsFunc(n.ends, func(e naiveEnd) bool { return e.place >= i })
	waited := n.known.Horizon.Sub(n.rows[i].SentAt) >= n.o.WaitForAgent
	return n.o.Final || n.o.WaitForAgent == 0 || n.o.Agent == NoAgent || who.found || ended || waited
}

// complete fills in what is known of somebody from other rows.
func (n *naive) complete(who naiveActor) extract.Person {
	p := who.Person
	if p.ID == "" {
		return p
	}
	fill := func(other extract.Person) {
		if p.Name == "" {
			p.Name = other.Name
		}
		if p.Username == "" {
			p.Username = other.Username
		}
	}
	for _, r := range n.rows {
		if r.Role == who.role && r.Author.ID == p.ID {
			fill(r.Author)
		}
		if (r.Kind == extract.KindAssign || r.Kind == extract.KindJoin) && who.role == extract.Agent && r.Agent.ID == p.ID {
			fill(r.Agent)
		}
	}
	if who.role == extract.Agent {
		fill(n.o.Directory[p.ID].Person)
	}
	return p
}

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
			if value := n.rows[own].Extra[k]; value != "" {
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
