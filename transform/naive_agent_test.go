package transform

import (
	"slices"

	"github.com/chatbackfill/chatbackfill/extract"
)

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
