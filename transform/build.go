package transform

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Conversation is a transcript rebuilt: its events that can be sent now, and
// what is known of the others.
type Conversation struct {
	ID string
	// Start is when the conversation started: the time of its first customer
	// message, or the start already delivered. 0: no customer wrote.
	Start extract.Time
	// Events are in their order in the conversation.
	Events []Event
	// Due is when to look at the conversation again, whether it changes or not:
	// an event waits, an end may come to be inferred, or the time of a row has
	// not come yet. 0: never.
	Due extract.Time
	// Rejects are the rows that could not be read, the events that cannot be
	// sent, and, if Rejected is set, the conversation itself. There are none if
	// Suppressed is set.
	Rejects []extract.Reject
	// Rejected is why no event of the conversation is sent, or "".
	Rejected extract.Reason
	// Suppressed: no event is sent because of whose conversation it is.
	Suppressed bool
}

// Known is what is known of a conversation before it is rebuilt.
type Known struct {
	// Start is the start that was delivered, or 0. Once delivered a start stays
	// the start, whatever earlier message turns up: no other message than one of
	// that time is Started. Of several customer messages of that time it is the
	// first, so that a Started which was not delivered must not be sent beside
	// one that was.
	Start extract.Time
	// Horizon is the time up to which the source shows rows.
	Horizon extract.Time
}

// Build rebuilds a conversation. It adds the outcomes of the transcript's rows
// to tally, and those of the events that wait or are rejected; what becomes of
// Conversation.Events is for the caller to add. The conversation keeps strings
// of the transcript.
func (b *Builder) Build(t *extract.Transcript, known Known, tally *Tally) Conversation {
	c := b.rebuild(t, known, tally)
	if !c.Suppressed {
		c.Due = extract.Earliest(c.Due, t.Ahead)
	}
	return c
}

func (b *Builder) rebuild(t *extract.Transcript, known Known, tally *Tally) Conversation {
	c := Conversation{ID: t.ConversationID, Rejects: slices.Clip(t.Rejects)}
	rows := b.arrange(t, tally)
	tally.add(Filtered, t.Filtered)
	if t.ConversationID == "" || len(rows) == 0 && len(t.Rejects) == 0 {
		tallyUnread(t.Rejects, tally)
		return c
	}
	tally.Conversations++
	first := slices.IndexFunc(rows, func(r row) bool { return r.says(extract.Customer) })
	said := latest(t.Conversations)
	b.people.reset(rows, first, &said)
	if b.opts.Suppressed != nil && b.suppressed(c.ID, rows, &said) {
		c.Rejects = nil
		unread := t.Rows() - t.Filtered - len(t.Messages)
		c.Suppressed = true
		tally.add(Suppressed, len(rows)+unread)
		return c
	}
	tallyUnread(t.Rejects, tally)
	switch {
	case len(t.Rejects) > 0 && b.opts.HoldRejected:
		c.reject(Held, strconv.Itoa(len(t.Rejects))+" of its rows cannot be read", rows, tally)
	default:
		b.derive(&c, rows, first, &said, known, tally)
	}
	return c
}

// suppressed reports whether the conversation, or one of its customers, is listed:
// also by the anonymous id that it has where nobody knows its customer.
func (b *Builder) suppressed(conversation string, rows []row, said *extract.Conversation) bool {
	listed := b.opts.Suppressed
	return b.people.any(rows, said, listed) || listed(ConversationSubject(conversation)) || listed(b.ids.anonymous(conversation))
}

// ConversationSubject is what [Options].Suppressed is asked about a conversation,
// beside the ids of its customers. It is no id that anybody could have.
func ConversationSubject(id string) string { return "conversation" + separator + id }

// tallyUnread counts the rows that could not be read.
func tallyUnread(rejects []extract.Reject, tally *Tally) {
	for i := range rejects {
		if r := &rejects[i]; r.Set == extract.SetMessages {
			tally.add(Rejected+Outcome(r.Reason), r.RowCount())
		}
	}
}

// reject rejects the conversation as a whole.
func (c *Conversation) reject(reason extract.Reason, detail string, rows []row, tally *Tally) {
	c.Rejected, c.Events, c.Due = reason, nil, 0
	c.Rejects = append(c.Rejects, extract.Reject{
		Stage:          extract.StageRebuild,
		Reason:         reason,
		Locator:        "conversation " + strconv.Quote(readable(c.ID)),
		ConversationID: c.ID,
		Detail:         detail,
	})
	tally.add(Rejected+Outcome(reason), len(rows))
}

// deriving is the state of turning one conversation's rows into events.
type deriving struct {
	*Builder
	*Conversation
	known      Known
	readableID string
	bodyRow    int // the row of bodyText, or -1
	bodyText   string
	unknown    bool // an event has neither user id nor anonymous id
	waiting    int
	oversized  int
}

// derive turns the rows into events.
func (b *Builder) derive(c *Conversation, rows []row, first int, said *extract.Conversation, known Known, tally *Tally) {
	ends, idleAt := b.findEnds(rows, first, *said, known.Horizon)
	start, afterStart := findStart(rows, first, known.Start)
	b.agents.reset(&b.opts, rows, ends, afterStart, said)
	c.Due, c.Start = idleAt, known.Start
	if c.Start == 0 && first >= 0 {
		c.Start = rows[first].SentAt
	}
	b.counts.reset(b.derived, c.Start, afterStart)
	d := deriving{Builder: b, Conversation: c, known: known, readableID: readable(c.ID), bodyRow: -1}
	b.outcomes = reuse(b.outcomes)
	c.Events = b.arena.reserve(eventCount(rows, len(ends)))
	for i := range rows {
		b.outcomes = append(b.outcomes, Informs)
		b.counts.add(i, &rows[i])
		if rows[i].isMessage {
			d.message(i, i == start, first < 0)
		}
		if len(ends) > 0 && ends[0].place == i {
			d.end(ends[0])
			ends = ends[1:]
		}
	}
	d.finish(rows, tally)
	if first >= 0 && rows[first].SentAt != c.Start {
		tally.StartedLate++
	}
}

// eventCount is how many events there are at most: one for each message and
// each end, and one for the start.
func eventCount(rows []row, ends int) int {
	n := ends + 1
	for i := range rows {
		if rows[i].isMessage {
			n++
		}
	}
	return n
}

// findStart returns the row that starts the conversation, or -1, and the first
// row after the start. The start is the first customer message, or that at the
// time of the start that was delivered.
func findStart(rows []row, first int, delivered extract.Time) (start, after int) {
	switch {
	case first < 0:
		return -1, len(rows)
	case delivered == 0:
		return first, first + 1
	}
	after, _ = slices.BinarySearchFunc(rows, delivered, func(r row, at extract.Time) int { return cmp.Compare(r.SentAt, at) })
	for i := after; i < len(rows) && rows[i].SentAt == delivered; i++ {
		if rows[i].says(extract.Customer) {
			return i, i + 1
		}
	}
	return -1, after
}

// finish settles what became of the rows, unless nobody is known to whom the
// events could belong.
func (d *deriving) finish(rows []row, tally *Tally) {
	if d.unknown && d.opts.Identity == RejectUnknown {
		d.Rejects = slices.Clip(d.Rejects[:len(d.Rejects)-d.oversized])
		d.reject(NoIdentity, "no row says who the customer is (user_id, anonymous_id)", rows, tally)
		return
	}
	for from, to := 0, 0; from < len(rows); from = to {
		for to < len(rows) && d.outcomes[to] == d.outcomes[from] {
			to++
		}
		tally.add(d.outcomes[from], to-from)
	}
	if d.waiting > 0 {
		tally.Events[Waiting] += d.waiting
	}
	if d.oversized > 0 {
		tally.Events[Rejected+Outcome(TooLarge)] += d.oversized
	}
}
