package transform

import (
	"slices"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Line is a row of a conversation as a person reads it.
type Line struct {
	*extract.Message
	MessageID string // its own, or the one made in its place
	Text      string // the body as events have it
	Outcome   Outcome
	Events    []*Event // about the row, or placed after it
}

// Timeline is [Builder.Build] for a person to look at: it also returns the rows
// in their order, with what each causes. Rows that are ignored, or a version of
// another one, are only in the tally.
func (b *Builder) Timeline(t *extract.Transcript, known Known) (Conversation, []Line, Tally) {
	tally := NewTally()
	c := b.Build(t, known, &tally)
	outcomes := slices.Clone(b.outcomes)
	again := NewTally()
	rows := b.arrange(t, &again)
	lines := make([]Line, len(rows))
	for i := range rows {
		r := &rows[i]
		lines[i] = Line{Message: r.Message, MessageID: readable(r.id), Text: b.body.of(r.Message)}
		switch {
		case c.Suppressed:
			lines[i].Outcome = Suppressed
		case c.Rejected != "":
			lines[i].Outcome = Rejected + Outcome(c.Rejected)
		default:
			lines[i].Outcome = outcomes[i]
		}
	}
	for i := range c.Events {
		line := &lines[c.Events[i].Row]
		line.Events = append(line.Events, &c.Events[i])
	}
	return c, lines, tally
}
