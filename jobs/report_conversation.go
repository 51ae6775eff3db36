package jobs

import (
	"slices"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// reportConversation is what a report keeps of a conversation, or of a part of
// one, until it is counted.
type reportConversation struct {
	start  extract.Time // 0: it did not start in what was delivered
	reply  extract.Time // the first message of somebody known: after the start, if there is one
	last   extract.Time // the latest event
	agents []*agentCounts
}

func (c *reportConversation) event(e *transform.Event) {
	switch {
	case e.Name == transform.Started:
		c.start, c.reply = e.Timestamp, 0
	case e.Name == transform.Received && e.Agent.Known() && c.reply == 0:
		c.reply = e.Timestamp
	}
	c.last = max(c.last, e.Timestamp)
}

func (c *reportConversation) handledBy(a *agentCounts) {
	if !slices.Contains(c.agents, a) {
		c.agents = append(c.agents, a)
	}
}

// merge adds another part of the same conversation, an earlier or a later one.
func (c *reportConversation) merge(o *reportConversation) {
	c.start = max(c.start, o.start)
	c.reply = earliest(c.start, c.reply, o.reply)
	c.last = max(c.last, o.last)
	for _, a := range o.agents {
		c.handledBy(a)
	}
}

// earliest returns the earliest of the times not before a start; 0 if none is.
func earliest(start extract.Time, times ...extract.Time) extract.Time {
	first := extract.Time(0)
	for _, t := range times {
		if t != 0 && t >= start && (first == 0 || t < first) {
			first = t
		}
	}
	return first
}
