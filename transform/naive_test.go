package transform

import (
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"

	"github.com/google/uuid"

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

	suppressed bool
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
	if t.Ahead != 0 && !n.suppressed {
		n.due(t.Ahead, &res)
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
	n.suppressed = n.o.Suppressed != nil && n.listed()
	for _, r := range t.Rejects {
		switch {
		case r.Set != extract.SetMessages:
		case n.suppressed:
			res.Tally.Rows[Suppressed]++
		default:
			res.Tally.Rows[Rejected+Outcome(r.Reason)]++
		}
	}
	if n.suppressed {
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
