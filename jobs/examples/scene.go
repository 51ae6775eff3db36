package examples

import (
	"fmt"
	"strings"
	"time"
)

// opening: the customer comes, perhaps is greeted by the bot, and tells the
// problem.
func (c *chat) opening() {
	if c.chance(0.2) {
		body := "Visitor opened the chat on /" + pick(c.rng, []string{"cart", "checkout", "orders", "help", "account"})
		c.row(system, "comment").Body = &body
		c.pause(time.Second, 10*time.Second)
	}
	if c.chance(0.55) {
		c.botSays(pick(c.rng, c.texts.Lines.BotHello))
	}
	if c.chance(0.35) {
		c.customerSays(pick(c.rng, c.texts.Lines.Hello))
		c.pause(200*time.Millisecond, 3*time.Second)
		c.say(c.shopper(), pick(c.rng, c.topic.Open))
	} else {
		c.customerSays(pick(c.rng, c.topic.Open))
	}
	if len(c.topic.Detail) > 0 && c.chance(0.4) {
		c.customerSays(pick(c.rng, c.topic.Detail))
	}
	if c.topic.Log != "" && c.chance(0.4) {
		c.customerSays(c.topic.Log)
		c.pasteLog()
	} else if c.chance(0.05) {
		c.customerSays(pick(c.rng, c.texts.Lines.Attachment))
		c.attach()
	}
}

// pasteLog adds a long message; some are longer than an event may be.
func (c *chat) pasteLog() {
	lines := 15 + c.rng.IntN(60)
	if c.chance(0.12) {
		lines = 700
	}
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "%s [%s] cart.sync(retry=%d) <timeout after %d ms> & giving up\n",
			c.now.Add(time.Duration(i)*137*time.Millisecond).Format("15:04:05.000"),
			pick(c.rng, []string{"info", "warn", "error"}), i%5, 100+c.rng.IntN(900))
	}
	c.pause(5*time.Second, 30*time.Second)
	body := b.String()
	c.row(c.shopper(), "comment").Body = &body
}

// handOver: the chat goes to an agent, who greets the customer. At night and on
// weekends that may be hours later.
func (c *chat) handOver() {
	asked := c.now
	byBot := c.chance(0.4)
	if byBot {
		c.botSays(pick(c.rng, c.texts.Lines.BotHandoff))
	}
	waited := c.findAgent().Sub(asked) > 20*time.Minute
	if waited {
		back := c.now
		c.now = asked.Add(2 * time.Second)
		c.botSays(pick(c.rng, c.texts.Lines.BotAway))
		c.now = back
	}
	c.pause(5*time.Second, 3*time.Minute)
	c.arrival(byBot)
	if waited {
		c.agentSays(c.texts.Lines.SorryForWait)
	} else {
		c.agentSays(c.texts.Lines.Greet)
	}
}

// findAgent makes the next free agent the chat's, moves the time to when that
// is, and returns it.
func (c *chat) findAgent() time.Time {
	c.agent, c.now = nextAgent(c.rng, c.customer.language, c.now)
	c.slots["agent"] = c.agent.firstName()
	return c.now
}

// arrival adds the row, if any, that tells that the agent is there.
func (c *chat) arrival(byBot bool) {
	switch n := c.rng.IntN(10); {
	case n < 4 && byBot:
		c.assign(pixel, c.agent)
	case n < 4:
		c.assign(system, c.agent)
	case n < 8:
		c.row(c.staff(c.agent), "join")
	}
}

// assign adds a row that gives the chat to an agent.
func (c *chat) assign(by author, to *agent) *record {
	r := c.row(by, "assignment")
	r.AssignedToID, r.AssignedToName = optional(to.ID), optional(to.FullName)
	return r
}

// interview: the agent's questions and the customer's answers.
func (c *chat) interview() {
	asks := c.topic.Ask
	for i, q := range asks {
		if i < len(asks)-1 && c.chance(0.4) {
			continue
		}
		c.agentSays([]string{q.Agent})
		if c.chance(0.06) {
			c.pause(5*time.Minute, 20*time.Minute)
			c.agentSays(c.texts.Lines.Nudge)
		}
		c.customerSays(pick(c.rng, q.Customer))
		c.identify()
	}
	if c.chance(0.25) {
		c.note()
	}
}

// identify: some visitors log in during the chat, and the shop knows who they
// are from then on. They stay the same author.
func (c *chat) identify() {
	if c.known || !c.chance(0.12) {
		return
	}
	c.rows[len(c.rows)-1].ContactID = optional(c.customer.userID)
}

// note adds what only agents can read.
func (c *chat) note() {
	line := pick(c.rng, c.topic.Note)
	c.typing(line)
	body := fill(line, c.slots)
	c.row(c.staff(c.agent), "note").Body = &body
}

// fix: the agent solves the problem, and answers what else the customer wants
// to know.
func (c *chat) fix() {
	if c.chance(0.5) {
		c.agentSays(c.texts.Lines.Look)
		if c.chance(0.5) {
			c.customerSays(pick(c.rng, c.texts.Lines.OK))
		}
		c.pause(time.Minute, 8*time.Minute)
	}
	c.agentSays(c.topic.Fix)
	c.customerSays(pick(c.rng, c.topic.Confirm))
	for _, e := range c.topic.Extra {
		if c.chance(0.35) {
			c.customerSays(e.Customer)
			c.agentSays(e.Agent)
		}
	}
	if c.chance(0.04) {
		c.customerSays(pick(c.rng, c.texts.Lines.Voice))
	}
	if c.chance(0.025) {
		c.withdraw()
	}
}

// withdraw: the customer writes a card number, and the agent deletes it.
func (c *chat) withdraw() {
	c.customerSays(pick(c.rng, c.texts.Lines.Card))
	c.rows[len(c.rows)-1].IsDeleted = true
	c.agentSays(c.texts.Lines.CardReply)
}

// transfer: another agent takes over. Some say so in the row that does it.
func (c *chat) transfer() {
	next, at := nextAgent(c.rng, c.customer.language, c.now, c.agent)
	if next == nil || at.Sub(c.now) > time.Hour {
		return
	}
	c.slots["next"] = next.firstName()
	line := pick(c.rng, c.texts.Lines.Transfer)
	if c.chance(0.5) {
		c.typing(line)
		body := fill(line, c.slots)
		c.assign(c.staff(c.agent), next).Body = &body
	} else {
		c.agentSays([]string{line})
		c.pause(time.Second, 20*time.Second)
		c.assign(c.staff(c.agent), next)
	}
	if at.After(c.now) {
		c.now = at
	}
	c.agent = next
	c.pause(20*time.Second, 5*time.Minute)
	c.agentSays(c.texts.Lines.Takeover)
	c.slots["agent"] = next.firstName()
}

// bringIn makes another customer the one who writes.
func (c *chat) bringIn() {
	other := c.customer
	for other.name == c.customer.name {
		other.name = pick(c.rng, c.texts.Customers)
	}
	other.userID = c.customer.userID + "b"
	other.visitor = ""
	name, _, _ := strings.Cut(other.name, " ")
	c.slots["other"] = name
	c.customer = other
	c.pause(time.Minute, 5*time.Minute)
	c.row(c.shopper(), "join")
}

// goodbye: thanks, and the end.
func (c *chat) goodbye() {
	if c.chance(0.7) {
		c.agentSays(c.texts.Lines.More)
		c.customerSays(pick(c.rng, c.texts.Lines.Thanks))
	}
	if c.chance(0.75) {
		c.agentSays(c.texts.Lines.Bye)
	}
	c.end()
}

// end adds the row that closes the chat, and perhaps the customer's rating.
func (c *chat) end() {
	c.pause(2*time.Second, 2*time.Minute)
	switch n := c.rng.IntN(20); {
	case n < 12:
		c.row(c.staff(c.agent), "close")
	case n < 14:
		line := pick(c.rng, c.texts.Lines.CloseWithWords)
		body := fill(line, c.slots)
		c.row(c.staff(c.agent), "close").Body = &body
	case n < 17:
		c.row(c.shopper(), "close")
	default:
		c.pause(2*time.Hour, 24*time.Hour)
		c.row(system, "close")
	}
	if c.chance(0.15) {
		c.pause(5*time.Second, 5*time.Minute)
		body := pick(c.rng, []string{"5", "5", "5", "4", "3", "1"})
		c.row(c.shopper(), "rating").Body = &body
	}
}
