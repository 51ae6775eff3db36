package transform

import (
	"slices"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Attribution says which agent the events of a conversation carry.
type Attribution string

// The attributions.
const (
	Handling       Attribution = "handling"        // the agent handling the conversation at the event
	FirstResponder Attribution = "first_responder" // the first to write after the start
	LastResponder  Attribution = "last_responder"  // the last to write
	Assignee       Attribution = "assignee"        // the one the conversation is assigned to
	NoAgent        Attribution = "none"            // nobody
)

// actor is somebody an event can be attributed to: an agent or a bot. Role and
// id together say who it is: bot 3 is not agent 3.
type actor struct {
	role extract.Role
	*Agent
}

// attribution is the actor of an event, and whether a later row could still
// change who that is.
type attribution struct {
	actor
	final bool
}

// agents knows who handles a conversation at each of its rows. Agents act by
// rows: they write, join, are assigned, end.
type agents struct {
	opts  *Options
	rows  []row
	marks []mark
	names names

	assigned  Agent
	assignee  actor
	responder attribution // of the whole conversation, for the strategies that name one
}

// mark says, for one row, where to look for the agent handling it.
type mark struct {
	before int // the last row at or before it in which an agent acts, or -1
	bot    int // the last row at or before it in which a bot writes that says who it is, or -1
	after  int // the first row after it in which an agent acts, or len(rows)
	end    int // the bound of the first end at or after it, or len(rows)
}

// acts reports whether an agent acts in a row and it says who that is.
func acts(r *row) bool {
	return r.Role == extract.Agent && r.Author.Known() || assigns(r) && r.Agent.Known()
}

// acting returns the agent who acts in a row. A row that assigns somebody acts
// for whom it assigns, whoever wrote it.
func acting(r *row) actor {
	if assigns(r) && r.Agent.Known() {
		return actor{extract.Agent, &r.Agent}
	}
	return wrote(r)
}

// assigns reports whether the row is about an agent beside its author.
func assigns(r *row) bool { return r.Kind == extract.KindAssign || r.Kind == extract.KindJoin }

func wrote(r *row) actor { return actor{r.Role, &r.Author} }

// writes reports whether somebody of a role wrote the row and it says who.
func writes(r *row, role extract.Role) bool {
	return r.says(role) && r.Author.Known()
}

func (a *agents) reset(opts *Options, rows []row, ends []end, afterStart int, said *extract.Conversation) {
	a.opts, a.rows = opts, rows
	a.names.reset(rows, opts.Directory)
	a.assigned = said.Assignee
	a.assignee = actor{extract.Agent, &a.assigned}
	a.mark(ends)
	a.responder = a.findResponder(afterStart)
}

func (a *agents) mark(ends []end) {
	n := len(a.rows)
	a.marks = slices.Grow(reuse(a.marks), n)[:n]
	m := mark{before: -1, bot: -1, after: n, end: n}
	for i := range a.rows {
		r := &a.rows[i]
		if acts(r) {
			m.before = i
		}
		if writes(r, extract.Bot) {
			m.bot = i
		}
		a.marks[i] = m
	}
	for i := n - 1; i >= 0; i-- {
		if k := len(ends); k > 0 && ends[k-1].place >= i {
			m.end, ends = ends[k-1].bound, ends[:k-1]
		}
		a.marks[i].after, a.marks[i].end = m.after, m.end
		if a.marks[i].before == i {
			m.after = i
		}
	}
}

// findResponder returns the one agent of the strategies that name one for the
// whole conversation. Rows are after the start from afterStart on.
func (a *agents) findResponder(afterStart int) attribution {
	switch a.opts.Agent {
	case NoAgent:
		return attribution{nobody, true}
	case Assignee:
		return attribution{actor: a.assignee}
	case FirstResponder:
		for i := afterStart; i < len(a.rows); i++ {
			if writes(&a.rows[i], extract.Agent) {
				return attribution{wrote(&a.rows[i]), true}
			}
		}
	case LastResponder:
		for i := len(a.rows) - 1; i >= 0; i-- {
			if writes(&a.rows[i], extract.Agent) {
				return attribution{actor: wrote(&a.rows[i])}
			}
		}
	}
	return attribution{actor: nobody}
}

// nobody is whom events without an agent are attributed to.
var nobody = actor{extract.Agent, &Agent{}}

// of returns whom a customer's message in row i is attributed to.
func (a *agents) of(i int) attribution {
	if a.opts.Agent == Handling {
		return a.handling(i)
	}
	r := a.responder
	r.final = r.final || a.endFollows(i)
	return r
}

func (a *agents) handling(i int) attribution {
	m := &a.marks[i]
	if m.before >= 0 {
		return attribution{acting(&a.rows[m.before]), true}
	}
	if m.after < len(a.rows) && m.after <= m.end {
		return attribution{acting(&a.rows[m.after]), true}
	}
	return attribution{a.fallback(i), a.endFollows(i)}
}

func (a *agents) endFollows(i int) bool { return a.marks[i].end < len(a.rows) }

// fallback is who events are attributed to when no agent handles the
// conversation: the assignee, else the bot that wrote last.
func (a *agents) fallback(i int) actor {
	bot := a.marks[i].bot
	if a.assignee.Known() || bot < 0 || a.opts.Bots == Exclude {
		return a.assignee
	}
	return wrote(&a.rows[bot])
}

// author returns whom the message of an agent or bot in row i is attributed to:
// its author, or as for a customer's if an agent does not say who it is.
func (a *agents) author(i int) attribution {
	r := &a.rows[i]
	if r.Role == extract.Agent && !r.Author.Known() {
		return a.of(i)
	}
	return attribution{wrote(r), true}
}

// ending returns whom an end is attributed to: who ended the conversation, else
// who was handling it then.
func (a *agents) ending(e end) actor {
	if a.opts.Agent != Handling {
		return a.responder.actor
	}
	if e.row >= 0 && a.rows[e.row].Role == extract.Agent && a.rows[e.row].Author.Known() {
		return wrote(&a.rows[e.row])
	}
	if e.by != "" {
		return actor{extract.Agent, &Agent{ID: e.by}}
	}
	if before := a.marks[e.place].before; before >= 0 {
		return acting(&a.rows[before])
	}
	return a.fallback(e.place)
}

// names completes what a row says of an agent or bot: each of name and username
// from the first row of the conversation that has it for the same one, else from
// the directory of agents.
type names struct {
	rows      []row
	directory map[string]extract.DirectoryAgent
	known     [extract.Bot + 1]index[extract.Person] // by role and id, collected when first needed
	collected bool

	role   extract.Role // of whom was asked last: most events are of the same agent as the one before
	asked  Agent
	answer Agent
}

func (n *names) reset(rows []row, directory map[string]extract.DirectoryAgent) {
	n.rows, n.directory, n.collected = rows, directory, false
	n.role, n.asked, n.answer = 0, Agent{}, Agent{}
}

// readable returns who it is with all that is known, as it can be sent.
// It is valid until the next call.
func (n *names) readable(who actor) *Agent {
	if who.role != n.role || *who.Agent != n.asked {
		p := n.complete(who)
		n.role, n.asked = who.role, *who.Agent
		n.answer = Agent{ID: readable(p.ID), Name: readable(p.Name), Username: readable(p.Username)}
	}
	return &n.answer
}

func (n *names) complete(who actor) Agent {
	all := *who.Agent
	if who.ID == "" || who.Name != "" && who.Username != "" {
		return all
	}
	if !n.collected {
		n.collect()
	}
	if known := n.known[who.role].find(who.ID); known != nil {
		fill(&all, *known)
	}
	if who.role == extract.Agent {
		fill(&all, n.directory[who.ID].Person)
	}
	return all
}

func fill(who *Agent, from Agent) {
	if who.Name == "" {
		who.Name = from.Name
	}
	if who.Username == "" {
		who.Username = from.Username
	}
}

func (n *names) collect() {
	n.collected = true
	for role := range n.known {
		n.known[role].reset()
	}
	for i := range n.rows {
		r := &n.rows[i]
		if r.Role == extract.Agent || r.Role == extract.Bot {
			n.note(wrote(r))
		}
		if assigns(r) {
			n.note(actor{extract.Agent, &r.Agent})
		}
	}
}

func (n *names) note(who actor) {
	if who.ID == "" {
		return
	}
	known := n.known[who.role].find(who.ID)
	if known == nil {
		n.known[who.role].add(who.ID, *who.Agent)
		return
	}
	fill(known, *who.Agent)
}
