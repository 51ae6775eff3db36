package transform

import (
	"cmp"
	"slices"
	"strconv"
	"time"

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
	// an event waits, or an end may come to be inferred. 0: never.
	Due extract.Time
	// Rejects are the rows that could not be read, the events that cannot be
	// sent, and, if Rejected is set, the conversation itself.
	Rejects []extract.Reject
	// Rejected is why no event of the conversation is sent, or "".
	Rejected extract.Reason
}

// Known is what is known of a conversation before it is rebuilt.
type Known struct {
	// Start is the start that was delivered, or 0. Once delivered a start stays
	// the start, whatever earlier message turns up.
	Start extract.Time
	// Horizon is the time up to which the source shows rows.
	Horizon extract.Time
}

// Build rebuilds a conversation. It adds the outcomes of the transcript's rows
// to tally, and those of the events that wait or are rejected; what becomes of
// Conversation.Events is for the caller to add. The conversation keeps strings
// of the transcript.
func (b *Builder) Build(t *extract.Transcript, known Known, tally *Tally) Conversation {
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
	if b.opts.Suppressed != nil && b.people.any(rows, &said, b.opts.Suppressed) {
		c.Rejects = nil
		unread := t.Rows() - t.Filtered - len(t.Messages)
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

// tallyUnread counts the rows that could not be read.
func tallyUnread(rejects []extract.Reject, tally *Tally) {
	for i := range rejects {
		if r := &rejects[i]; r.Set == extract.MessagesSet {
			tally.add(Rejected+Outcome(r.Reason), 1)
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
	known     Known
	outcomes  []Outcome // per row
	unknown   bool      // an event has neither user id nor anonymous id
	waiting   int
	oversized int
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
	d := deriving{Builder: b, Conversation: c, known: known, outcomes: reuse(b.outcomes)}
	c.Events = make([]Event, 0, len(rows)+2)
	for i := range rows {
		d.outcomes = append(d.outcomes, Informs)
		b.counts.add(i, &rows[i])
		if rows[i].isMessage {
			d.message(i, i == start, first < 0)
		}
		if len(ends) > 0 && ends[0].place == i {
			d.end(ends[0])
			ends = ends[1:]
		}
	}
	b.outcomes = d.outcomes
	d.finish(rows, tally)
	if first >= 0 && rows[first].SentAt != c.Start {
		tally.StartedLate++
	}
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

// draft is an event before it is known whether it can be sent.
type draft struct {
	name     Name
	row      int // its own row, or -1
	place    int // its own row, or the row it comes after
	last     int // the row of the message it carries the id of
	at       extract.Time
	agent    attribution
	inferred bool
}

// message derives the events of a message.
func (d *deriving) message(i int, starts, outbound bool) {
	r := &d.agents.rows[i]
	e := draft{row: i, place: i, last: i, at: r.SentAt}
	switch {
	case r.Role == extract.Customer:
		e.agent = d.agents.of(i)
		if starts {
			e.name = Started
			d.event(e)
		}
		e.name = Sent
		d.event(e)
	case outbound && d.opts.Outbound == Exclude:
		d.exclude(i, Ignored+"outbound")
	case r.Role == extract.Bot && d.opts.Bots == Exclude:
		d.exclude(i, Ignored+"bot")
	default:
		e.name, e.agent = Received, d.agents.author(i)
		d.event(e)
	}
}

// exclude records that an option leaves a message out. A row that also assigns,
// joins or ends still informs.
func (d *deriving) exclude(i int, o Outcome) {
	if d.agents.rows[i].Kind == extract.KindMessage {
		d.outcomes[i] = o
	}
}

func (d *deriving) end(e end) {
	d.event(draft{
		name: Ended, row: e.row, place: e.place, last: e.last, at: e.at,
		agent: attribution{d.agents.ending(e), true}, inferred: e.inferred,
	})
}

// event adds the event unless it is to wait or is too large.
func (d *deriving) event(f draft) {
	userID, anonymousID := d.identify(f.row)
	if due := f.at.Add(d.opts.WaitForAgent); !f.agent.final && !d.opts.Final && due > d.known.Horizon && d.opts.WaitForAgent > 0 {
		d.waiting++
		d.settle(f.row, Waiting)
		if d.Due == 0 || due < d.Due {
			d.Due = due
		}
		return
	}
	d.Events = append(d.Events, Event{})
	e := &d.Events[len(d.Events)-1]
	e.UserID, e.AnonymousID = userID, anonymousID
	d.fill(e, f)
	if !d.encode(e) {
		d.oversized++
		d.settle(f.row, Rejected+Outcome(TooLarge))
		d.Rejects = append(d.Rejects, oversized(e, &d.agents.rows[f.last]))
		d.Events = d.Events[:len(d.Events)-1]
		return
	}
	d.settle(f.row, Caused)
}

// settle records the outcome of a row, if the event has one of its own. A row
// that caused an event caused an event, whatever becomes of its other one.
func (d *deriving) settle(row int, o Outcome) {
	if row >= 0 && d.outcomes[row] != Caused {
		d.outcomes[row] = o
	}
}

func (d *deriving) fill(e *Event, f draft) {
	message := &d.agents.rows[f.last]
	e.Name = f.name
	e.ID = d.ids.event(d.Conversation.ID, f.name, message.id)
	e.Key = d.ids.key(f.name, message.id)
	e.Timestamp = floor(f.at, time.Millisecond)
	e.ConversationID = readable(d.Conversation.ID)
	e.MessageID = readable(message.id)
	e.Duration = d.duration(f.at)
	e.Settings = &d.opts.Settings
	e.Row = f.place
	e.Agent = readablePerson(d.agents.names.complete(f.agent.actor))
	if f.row >= 0 && d.agents.rows[f.row].isMessage {
		e.Body = d.body.of(d.agents.rows[f.row].Message)
	}
	e.Properties = d.properties(f)
}

// identify returns whose event of a row it is; the row is -1 for an event that
// has none of its own.
func (d *deriving) identify(row int) (userID, anonymousID string) {
	userID, anonymousID = d.people.of(row)
	if userID == "" && anonymousID == "" {
		d.unknown = true
		return "", d.ids.anonymous(d.Conversation.ID)
	}
	return readable(userID), readable(anonymousID)
}

// duration is the time since the conversation's start in whole seconds.
func (d *deriving) duration(at extract.Time) int64 {
	if d.Start == 0 || at < d.Start {
		return 0
	}
	return int64(at.Sub(d.Start) / time.Second)
}

// floor returns t rounded down to a multiple of unit.
func floor(t extract.Time, unit time.Duration) extract.Time {
	rest := t % extract.Time(unit)
	if rest < 0 {
		rest += extract.Time(unit)
	}
	return t - rest
}

func readablePerson(p Agent) Agent {
	return Agent{ID: readable(p.ID), Name: readable(p.Name), Username: readable(p.Username)}
}

// properties returns the properties of an event beyond those of the spec.
func (d *deriving) properties(f draft) []Property {
	if len(d.opts.Extra) == 0 && d.derived == 0 && !f.inferred {
		return d.constant
	}
	all := slices.Clone(d.constant)
	if f.row >= 0 {
		for i, value := range d.agents.rows[f.row].Extra {
			if encoded := canonicalJSON(value); encoded != nil {
				all = append(all, Property{d.opts.Extra[i], encoded})
			}
		}
	}
	if f.inferred {
		all = append(all, Property{endInferred, literalTrue})
	}
	all = d.counts.appendTo(all, f, &d.agents.rows[f.place])
	slices.SortFunc(all, compareProperties)
	return all
}

var literalTrue = []byte("true")

// encode sets the event's JSON and hash. A body that makes the event too large
// is cut; encode reports false if that is not enough.
func (d *deriving) encode(e *Event) bool {
	fits := len(e.Body) <= MaxEventBytes && d.arena.write(e)
	if !fits && e.Body != "" {
		fits = d.encodeCut(e)
	}
	if fits {
		e.Hash = contentHash(e.JSON)
	}
	return fits
}

// encodeCut encodes the event with the longest part of its body that fits.
func (d *deriving) encodeCut(e *Event) bool {
	body := e.Body
	e.Body = ""
	e.Properties = append(slices.Clone(e.Properties), Property{bodyTruncated, literalTrue})
	slices.SortFunc(e.Properties, compareProperties)
	room := MaxEventBytes - len(appendEvent(nil, e)) - len(`"message_body":"",`)
	e.Body = prefix(body, room)
	return d.arena.write(e)
}

// oversized is the reject of an event that is too large even without a body.
func oversized(e *Event, message *row) extract.Reject {
	return extract.Reject{
		Stage:          extract.StageRebuild,
		Reason:         TooLarge,
		Locator:        e.ID.String(),
		ConversationID: message.ConversationID,
		MessageID:      message.id,
		Detail:         e.Name.String() + ": more than " + strconv.Itoa(MaxEventBytes) + " bytes even without a body",
	}
}
