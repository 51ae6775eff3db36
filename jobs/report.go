package jobs

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
	"github.com/chatbackfill/chatbackfill/transform"
)

// Report collects what a page about a run shows of the events that the run
// delivered. Its memory does not grow with their number: it keeps counts by
// day and by agent, histograms, and at most one conversation of a chunk.
type Report struct {
	mu        sync.Mutex
	days      map[int]*dayCounts
	agents    map[agentKey]*agentCounts
	crowd     int // messages of agents beyond maxReportAgents
	open      map[string]*reportConversation
	replies   histogram // from the start to the first reply
	durations histogram // from the start to the last event
}

// dayCounts are what happened on a day of UTC.
type dayCounts struct {
	conversations int // started
	messages      int
}

// agentKey tells agents apart: by id, else by what they are called.
type agentKey struct{ id, name, username string }

// agentCounts are what an agent did. The name is that of the latest event.
type agentCounts struct {
	agent         extract.Person
	named         extract.Time
	messages      int
	conversations int
}

// maxReportAgents is far more than a help desk has. A mapping that takes
// customers for agents has more: their messages are only counted.
const maxReportAgents = 10_000

// NewReport returns a report of nothing.
func NewReport() *Report {
	return &Report{
		days: make(map[int]*dayCounts), agents: make(map[agentKey]*agentCounts),
		open: make(map[string]*reportConversation),
	}
}

// Add adds those events that were accepted. The events of a conversation are in
// order and next to each other; a conversation that does not fit into one chunk
// fills the chunks that it goes on in after from their beginning. Chunks may
// come in any order, from several goroutines.
func (r *Report) Add(events []*transform.Event, outcomes []load.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for from := 0; from < len(outcomes); {
		to := from + 1
		for to < len(outcomes) && events[to].ConversationID == events[from].ConversationID {
			to++
		}
		c := &reportConversation{}
		for i := from; i < to; i++ {
			if outcomes[i].Accepted {
				r.event(c, events[i])
			}
		}
		partial := from == 0 && (to == len(events) || events[0].Name != transform.Started)
		r.conversation(events[from].ConversationID, c, partial)
		from = to
	}
}

func (r *Report) event(c *reportConversation, e *transform.Event) {
	day := r.day(e.Timestamp)
	switch e.Name {
	case transform.Started:
		day.conversations++
	case transform.Sent, transform.Received:
		day.messages++
	}
	c.event(e)
	if !e.Agent.Known() {
		return
	}
	a := r.agent(e)
	if a == nil {
		r.crowd += messages(e)
		return
	}
	a.messages += messages(e)
	c.handledBy(a)
}

// messages is the number of messages that an event is to its agent.
func messages(e *transform.Event) int {
	if e.Name == transform.Received {
		return 1
	}
	return 0
}

func (r *Report) day(at extract.Time) *dayCounts {
	n := int(int64(at) / int64(24*time.Hour))
	if r.days[n] == nil {
		r.days[n] = &dayCounts{}
	}
	return r.days[n]
}

// agent returns the counts of an event's agent; nil if there are too many.
func (r *Report) agent(e *transform.Event) *agentCounts {
	key := agentKey{id: e.Agent.ID}
	if key.id == "" {
		key = agentKey{name: e.Agent.Name, username: e.Agent.Username}
	}
	a := r.agents[key]
	if a == nil && len(r.agents) >= maxReportAgents {
		return nil
	}
	if a == nil {
		a = &agentCounts{agent: e.Agent, named: e.Timestamp}
		r.agents[key] = a
	}
	if e.Timestamp > a.named || e.Timestamp == a.named && agentName(e.Agent) > agentName(a.agent) {
		a.agent, a.named = e.Agent, e.Timestamp
	}
	return a
}

// agentName is what a person calls an agent.
func agentName(p extract.Person) string { return cmp.Or(p.Name, p.Username, p.ID) }

// conversation counts a conversation, or keeps it for when the rest of it came.
func (r *Report) conversation(id string, c *reportConversation, partial bool) {
	known := r.open[id]
	switch {
	case known != nil:
		known.merge(c)
	case partial:
		r.open[id] = c
	default:
		r.close(c)
	}
}

func (r *Report) close(c *reportConversation) {
	for _, a := range c.agents {
		a.conversations++
	}
	if c.start == 0 {
		return
	}
	r.durations.add(c.last.Sub(c.start))
	if c.reply != 0 {
		r.replies.add(c.reply.Sub(c.start))
	}
}

// closeAll counts what was kept. Nothing is added afterwards.
func (r *Report) closeAll() {
	for id, c := range r.open {
		r.close(c)
		delete(r.open, id)
	}
}

// topAgents returns the n agents with the most messages, and how many further
// agents there are.
func (r *Report) topAgents(n int) (top []*agentCounts, further int) {
	for _, a := range r.agents {
		top = append(top, a)
	}
	slices.SortFunc(top, func(x, y *agentCounts) int {
		return cmp.Or(y.messages-x.messages, y.conversations-x.conversations,
			strings.Compare(agentName(x.agent), agentName(y.agent)), strings.Compare(x.agent.ID, y.agent.ID))
	})
	if len(top) > n {
		return top[:n], len(top) - n
	}
	return top, 0
}
