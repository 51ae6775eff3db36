package examples

import "time"

// plots are the ways a chat can go, with how many of a thousand chats go each.
var plots = []struct {
	name  string
	share int
	play  func(*chat)
}{
	{"solved", 490, (*chat).solved},
	{"transferred", 90, (*chat).transferred},
	{"reopened", 70, (*chat).reopened},
	{"solved by the bot", 80, (*chat).solvedByBot},
	{"abandoned", 70, (*chat).abandoned},
	{"vanished", 80, (*chat).vanished},
	{"outbound", 35, (*chat).outbound},
	{"outbound unanswered", 25, (*chat).outboundUnanswered},
	{"several customers", 10, (*chat).severalCustomers},
	{"left open", 50, (*chat).leftOpen},
}

// plotOf is the plot of this chat.
func (c *chat) plotOf() func(*chat) {
	n := c.rng.IntN(1000)
	for _, p := range plots {
		if n -= p.share; n < 0 {
			return p.play
		}
	}
	return (*chat).solved
}

// play makes up all rows of the chat.
func (c *chat) play() { c.plotOf()(c) }

func (c *chat) solved() {
	c.opening()
	c.handOver()
	c.interview()
	c.fix()
	c.goodbye()
}

func (c *chat) transferred() {
	c.opening()
	c.handOver()
	c.interview()
	c.transfer()
	c.fix()
	c.goodbye()
}

// reopened: the customer comes back minutes or days after the end.
func (c *chat) reopened() {
	c.solved()
	c.pause(10*time.Minute, 4*24*time.Hour)
	c.row(system, "open")
	c.customerSays(pick(c.rng, c.texts.Lines.Reopen))
	c.findAgent()
	c.agentSays(c.texts.Lines.Again)
	c.customerSays(pick(c.rng, c.texts.Lines.OK))
	c.pause(5*time.Minute, 40*time.Minute)
	c.agentSays(c.texts.Lines.AgainFixed)
	c.customerSays(pick(c.rng, c.texts.Lines.Relief))
	c.end()
}

// solvedByBot: no agent ever takes part.
func (c *chat) solvedByBot() {
	if c.topic.Bot == "" {
		c.solved()
		return
	}
	c.botSays(pick(c.rng, c.texts.Lines.BotHello))
	c.customerSays(pick(c.rng, c.topic.Open))
	c.botSays(c.topic.Bot)
	if c.chance(0.25) {
		return
	}
	c.customerSays(pick(c.rng, c.texts.Lines.BotSolvedThanks))
	c.botSays(pick(c.rng, c.texts.Lines.BotBye))
	c.pause(time.Second, 5*time.Second)
	c.row(pixel, "close")
}

// abandoned: nobody ever answers.
func (c *chat) abandoned() {
	c.opening()
	if c.chance(0.4) {
		c.botSays(pick(c.rng, c.texts.Lines.BotHandoff))
	}
	for range c.rng.IntN(3) {
		c.pause(2*time.Minute, 12*time.Minute)
		c.customerSays(pick(c.rng, c.texts.Lines.Impatient))
	}
	if c.chance(0.6) {
		c.pause(4*time.Hour, 24*time.Hour)
		c.row(system, "close")
	}
}

// vanished: the customer leaves without a word.
func (c *chat) vanished() {
	c.opening()
	c.handOver()
	c.agentSays([]string{c.topic.Ask[len(c.topic.Ask)-1].Agent})
	c.pause(6*time.Minute, 15*time.Minute)
	c.agentSays(c.texts.Lines.Nudge)
	c.pause(10*time.Minute, 30*time.Minute)
	if c.chance(0.7) {
		c.agentSays(c.texts.Lines.NudgeBye)
	}
	c.row(c.shopper(), "leave")
	c.pause(time.Second, 20*time.Second)
	c.row(c.staff(c.agent), "close")
}

// outbound: an agent writes first.
func (c *chat) outbound() {
	c.known = true
	c.findAgent()
	c.agentSays(c.texts.Lines.Outbound)
	c.pause(2*time.Minute, 9*time.Hour)
	c.customerSays(pick(c.rng, c.texts.Lines.OutboundReply))
	c.agentSays(c.texts.Lines.OutboundDone)
	if c.chance(0.5) {
		c.customerSays(pick(c.rng, c.texts.Lines.Relief))
	}
	c.end()
}

func (c *chat) outboundUnanswered() {
	c.known = true
	c.findAgent()
	c.agentSays(c.texts.Lines.Outbound)
	if c.chance(0.6) {
		c.pause(24*time.Hour, 72*time.Hour)
		c.row(system, "close")
	}
}

// severalCustomers: somebody else of the customer's joins in.
func (c *chat) severalCustomers() {
	c.known = true
	c.opening()
	c.handOver()
	c.interview()
	first := c.customer
	c.bringIn()
	c.customerSays(pick(c.rng, c.texts.Lines.Colleague))
	c.agentSays(c.texts.Lines.ColleagueReply)
	c.customer = first
	c.fix()
	c.goodbye()
}

// leftOpen: all is said, but nobody closes the chat.
func (c *chat) leftOpen() {
	c.opening()
	c.handOver()
	c.interview()
	c.fix()
}
