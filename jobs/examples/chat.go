package examples

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"
)

// Streams of random numbers; each draws from its own, so that one may change
// without changing all the others.
const (
	streamStart = iota
	streamChat
	streamCustomer
)

// random returns the random numbers of one thing.
func random(seed, stream, index uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, index<<2|stream))
}

// person is a customer.
type person struct {
	name     string
	language string
	email    string
	userID   string // empty while nobody knows who it is
	visitor  string
}

// customerOf makes up the customer of a number. The same number is the same
// customer in every chat of a seed.
func customerOf(number int, seed uint64) person {
	rng := random(seed, streamCustomer, uint64(number))
	p := person{language: pickLanguage(rng)}
	p.name = pick(rng, textsOf(p.language).Customers)
	p.userID = fmt.Sprintf("user_%06x", uint32(number)*2654435761&0xffffff)
	p.visitor = fmt.Sprintf("v-%012x", rng.Uint64()>>16)
	p.email = fmt.Sprintf("shopper%d@example.%s", 100+rng.IntN(9900), pick(rng, []string{"com", "org"}))
	return p
}

func pickLanguage(rng *rand.Rand) string {
	n := rng.IntN(100)
	for _, l := range languages {
		if n -= l.share; n < 0 {
			return l.code
		}
	}
	return languages[0].code
}

// author is who writes a row.
type author struct{ kind, id, name, login string }

var (
	pixel  = author{kind: "bot", id: "bot-1", name: "Pixel"}
	system = author{kind: "system"}
)

// chat is one conversation while it is being made up.
type chat struct {
	index    int
	rng      *rand.Rand
	rows     []record
	now      time.Time
	texts    *texts
	topic    *topic
	customer person
	known    bool // whether the shop knows who the customer is
	agent    *agent
	slots    map[string]string
}

func newChat(index, conversations int, seed uint64) *chat {
	rng := random(seed, streamChat, uint64(index))
	c := &chat{
		index:    index,
		rng:      rng,
		now:      startOf(index, conversations, seed),
		customer: customerOf(rng.IntN(max(1, conversations*2/3)), seed),
		known:    rng.Float64() < 0.7,
	}
	c.texts = textsOf(c.customer.language)
	c.topic = &c.texts.Topics[rng.IntN(len(c.texts.Topics))]
	c.slots = c.newSlots()
	return c
}

// newSlots makes up what this chat is about in particular. Telephone numbers
// and addresses are from the ranges set aside for examples.
func (c *chat) newSlots() map[string]string {
	t, rng := c.texts, c.rng
	name, _, _ := strings.Cut(c.customer.name, " ")
	return map[string]string{
		"name":     name,
		"email":    c.customer.email,
		"product":  pick(rng, t.Products),
		"amount":   pick(rng, t.Amounts),
		"day":      pick(rng, t.Days),
		"city":     pick(rng, t.Cities),
		"order":    fmt.Sprintf("A-%06d", rng.IntN(1e6)),
		"tracking": fmt.Sprintf("EX%09d", rng.IntN(1e9)),
		"invoice":  fmt.Sprintf("R-2025-%05d", rng.IntN(1e5)),
		"ticket":   fmt.Sprintf("T%05d", rng.IntN(1e5)),
		"ip":       fmt.Sprintf("%s.%d", pick(rng, []string{"192.0.2", "198.51.100", "203.0.113"}), 1+rng.IntN(254)),
		"phone":    fmt.Sprintf("+1-202-555-01%02d", rng.IntN(100)),
		"version":  fmt.Sprintf("5.%d.%d", rng.IntN(12), rng.IntN(9)),
		"browser":  pick(rng, []string{"Firefox", "Chrome", "Safari", "Edge"}),
	}
}

// chance is true in a share of p of all cases.
func (c *chat) chance(p float64) bool { return c.rng.Float64() < p }

// pause lets a time between the two pass, more often a short one.
func (c *chat) pause(least, most time.Duration) {
	x := c.rng.Float64()
	c.now = c.now.Add(least + time.Duration(x*x*float64(most-least))).Truncate(time.Millisecond)
}

// typing lets the time pass that it takes to write a text.
func (c *chat) typing(body string) {
	c.pause(5*time.Second, 40*time.Second+time.Duration(utf8.RuneCountInString(body))*300*time.Millisecond)
}

// row adds a row without a body at the present moment.
func (c *chat) row(by author, part string) *record {
	sent := c.now.UnixMilli()
	id := int64(10001 + c.index)
	n := len(c.rows) + 1
	c.rows = append(c.rows, record{
		ChatID:      id,
		ID:          id*1000 + int64(n),
		Seq:         int32(n),
		CreatedAt:   &sent,
		InsertedAt:  sent + 200 + c.rng.Int64N(4800),
		AuthorType:  by.kind,
		AuthorID:    optional(by.id),
		AuthorName:  optional(by.name),
		AuthorLogin: optional(by.login),
		PartType:    part,
		VisitorID:   optional(c.customer.visitor),
	})
	c.now = c.now.Add(100 * time.Millisecond)
	r := &c.rows[n-1]
	if c.known {
		r.ContactID = optional(c.customer.userID)
	}
	return r
}

// say adds a comment: a row that everybody in the chat can read.
func (c *chat) say(by author, line string) {
	body := fill(line, c.slots)
	c.row(by, "comment").Body = &body
}

// customerSays adds what the customer writes, after the time that writing takes.
func (c *chat) customerSays(line string) {
	line, photo := strings.CutSuffix(line, " {photo}")
	c.typing(line)
	c.say(c.shopper(), line)
	if photo {
		c.attach()
	}
}

// attach adds a picture of the customer's, which the export has as a row with
// a blank body.
func (c *chat) attach() {
	c.pause(3*time.Second, 30*time.Second)
	r := c.row(c.shopper(), "comment")
	if c.chance(0.5) {
		r.Body = new(string)
	}
}

func (c *chat) agentSays(lines []string) {
	line := pick(c.rng, lines)
	c.typing(line)
	c.say(c.staff(c.agent), line)
}

func (c *chat) botSays(line string) {
	c.pause(200*time.Millisecond, 900*time.Millisecond)
	c.say(pixel, line)
}

// shopper is the customer as the author of a row.
func (c *chat) shopper() author {
	if c.known {
		return author{kind: "user", id: c.customer.userID, name: c.customer.name}
	}
	return author{kind: "lead", id: c.customer.visitor, name: c.slots["name"]}
}

// namesSince is when the chat tool began to write the agents' names into its
// rows. Those of earlier rows are found in the directory.
var namesSince = time.Date(2025, 4, 1, 0, 0, 0, 0, time.UTC)

// staff is an agent as the author of a row.
func (c *chat) staff(a *agent) author {
	if c.now.Before(namesSince) {
		return author{kind: "admin", id: a.ID}
	}
	return author{kind: "admin", id: a.ID, name: a.FullName, login: a.Login}
}

// optional is nil for an empty string, which the export has as NULL.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
