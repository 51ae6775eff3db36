package transform

import (
	"slices"
	"strconv"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
)

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
			d.event(&e)
		}
		e.name = Sent
		d.event(&e)
	case outbound && d.opts.Outbound == Exclude:
		d.exclude(i, Ignored+"outbound")
	case r.Role == extract.Bot && d.opts.Bots == Exclude:
		d.exclude(i, Ignored+"bot")
	default:
		e.name, e.agent = Received, d.agents.author(i)
		d.event(&e)
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
	d.event(&draft{
		name: Ended, row: e.row, place: e.place, last: e.last, at: e.at,
		agent: attribution{d.agents.ending(e), true}, inferred: e.inferred,
	})
}

// event adds the event unless it is to wait or is too large.
func (d *deriving) event(f *draft) {
	userID, anonymousID := d.identify(f.row)
	if due := f.at.Add(d.opts.WaitForAgent); !f.agent.final && !d.opts.Final && due > d.known.Horizon && d.opts.WaitForAgent > 0 {
		d.waiting++
		d.settle(f.row, Waiting)
		d.Due = extract.Earliest(d.Due, due)
		return
	}
	// Events are large: this one is made in its place, not copied there.
	n := len(d.Events)
	d.Events = d.Events[:n+1]
	e := &d.Events[n]
	e.UserID, e.AnonymousID = userID, anonymousID
	d.fill(e, f)
	if !d.encode(e) {
		d.oversized++
		d.settle(f.row, Rejected+Outcome(TooLarge))
		d.Rejects = append(d.Rejects, oversized(e, &d.agents.rows[f.last]))
		*e = Event{}
		d.Events = d.Events[:n]
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

func (d *deriving) fill(e *Event, f *draft) {
	message := &d.agents.rows[f.last]
	e.Name = f.name
	e.ID, e.Key = d.ids.event(d.Conversation.ID, f.name, message.id)
	e.Timestamp = floor(f.at, time.Millisecond)
	e.ConversationID = d.readableID
	e.MessageID = readable(message.id)
	e.Duration = d.duration(f.at)
	e.Settings = &d.opts.Settings
	e.Row = f.place
	e.Agent = *d.agents.names.readable(f.agent.actor)
	if f.row >= 0 && d.agents.rows[f.row].isMessage {
		e.Body = d.bodyOf(f.row)
	}
	e.Properties = d.properties(f)
}

// bodyOf returns the body of a message, which up to three events carry.
func (d *deriving) bodyOf(row int) string {
	if d.bodyRow != row {
		d.bodyRow, d.bodyText = row, d.body.of(d.agents.rows[row].Message)
	}
	return d.bodyText
}

// identify returns whose event of a row it is; the row is -1 for an event that
// has none of its own.
func (d *deriving) identify(row int) (userID, anonymousID string) {
	userID, anonymousID = d.people.of(row)
	if userID == "" && anonymousID == "" {
		d.unknown = true
		return "", d.ids.anonymous(d.Conversation.ID)
	}
	return userID, anonymousID
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

// properties returns the properties of an event beyond those of the spec.
func (d *deriving) properties(f *draft) []Property {
	if len(d.opts.Extra) == 0 && d.derived == 0 && !f.inferred {
		return d.constant
	}
	most := len(d.constant) + len(d.opts.Extra) + len(DerivedProperties) + 1
	all := append(make([]Property, 0, most), d.constant...)
	if f.row >= 0 {
		extra := d.agents.rows[f.row].Extra
		for i, value := range extra[:min(len(extra), len(d.opts.Extra))] {
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

// encode sets the event's JSON. A body that makes the event too large is cut;
// encode reports false if that is not enough.
func (d *deriving) encode(e *Event) bool {
	fits := len(e.Body) <= MaxEventBytes && d.arena.write(&d.writer, e)
	if !fits && e.Body != "" {
		fits = d.encodeCut(e)
	}
	return fits
}

// encodeCut encodes the event with the longest part of its body that fits.
func (d *deriving) encodeCut(e *Event) bool {
	body := e.Body
	e.Body = ""
	e.Properties = append(slices.Clone(e.Properties), Property{bodyTruncated, literalTrue})
	slices.SortFunc(e.Properties, compareProperties)
	room := MaxEventBytes - len(d.writer.event(nil, e)) - len(`"message_body":"",`)
	e.Body = prefix(body, room)
	return d.arena.write(&d.writer, e)
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
