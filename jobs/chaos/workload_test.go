package chaos

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// row is a row of the source. Empty texts and the zero time are NULL.
type row struct {
	Chat, ID    string
	SentAt      time.Time
	Version     int // of the row; a later one replaces it
	Seq         int32
	Role, Kind  string
	Author      string
	AuthorName  string
	Body        string
	Contact     string // the customer, known
	Visitor     string // the customer, unknown
	Deleted     bool
	Unreadable  bool // nothing can be made of it
	WithoutName bool // it has no id of its own
}

// workload is what is in a source, phase after phase: between two of them a run
// comes to its end. The same seed and size give the same rows.
type workload struct {
	random *rand.Rand
	chats  []*chat
	secret string // part of every text
}

// chat is one conversation as the generator knows it.
type chat struct {
	id       string
	rows     []row // of all phases
	messages int   // made so far
	contact  string
	visitor  string
	agent    int
	next     time.Time // of the next row
	nameless bool      // its messages have no ids
}

// noon is when the first chats are.
var noon = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

func newWorkload(seed uint64, secret string) *workload {
	return &workload{random: rand.New(rand.NewPCG(seed, 1)), secret: secret}
}

// begin makes the rows of so many chats, the first phase.
func (w *workload) begin(chats int) []row {
	var rows []row
	for range chats {
		rows = append(rows, w.newChat()...)
	}
	return w.shuffle(rows)
}

// grow makes the rows that a later phase adds: chats that go on, messages that
// come late, edits, and new chats.
func (w *workload) grow(phase int) []row {
	var rows []row
	for _, c := range w.chats {
		switch w.random.IntN(10) {
		case 0: // goes on, perhaps to its end
			rows = append(rows, w.say(c, 1+w.random.IntN(4))...)
			if w.random.IntN(2) == 0 {
				rows = append(rows, w.end(c))
			}
		case 1: // somebody's message was on its way for long
			late := w.message(c, "customer")
			late.SentAt = c.rows[0].SentAt.Add(time.Duration(w.random.IntN(120)-60) * time.Second)
			rows = append(rows, late)
			c.rows = append(c.rows, late)
		case 2:
			if edited, ok := w.edit(c, phase); ok {
				rows = append(rows, edited)
			}
		}
	}
	for range len(w.chats) / 10 {
		rows = append(rows, w.newChat()...)
	}
	return w.shuffle(rows)
}

func (w *workload) shuffle(rows []row) []row {
	w.random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows
}

// oddIDs are ids that somebody might take apart, trim or quote wrongly.
var oddIDs = []string{"%d", "chat-%d", "Ünïcode-%d", " %d ", `a"; drop table chats;-- %d`, "o'%d", "a.b/%d", "👋%d", "00%d", "NULL%d"}

func (w *workload) newChat() []row {
	n := len(w.chats)
	c := &chat{
		id:       fmt.Sprintf(oddIDs[w.random.IntN(len(oddIDs))], n),
		agent:    w.random.IntN(5),
		next:     noon.Add(time.Duration(n) * time.Minute),
		nameless: w.random.IntN(12) == 0,
	}
	switch w.random.IntN(60) {
	case 0: // nobody knows who it is
	case 1, 2, 3, 4, 5:
		c.visitor = fmt.Sprintf("visitor-%d", n)
	default:
		c.contact = fmt.Sprintf("user-%d", n%97)
	}
	w.chats = append(w.chats, c)
	first := w.message(c, "customer")
	c.rows = append(c.rows, first)
	rows := append([]row{first}, w.say(c, w.length())...)
	if w.random.IntN(3) > 0 {
		rows = append(rows, w.end(c))
	}
	if len(w.chats)%150 == 7 {
		rows = append(rows, w.unreadable(c))
	}
	if !c.nameless && w.random.IntN(6) == 0 { // synced twice, perhaps with another text
		again := rows[w.random.IntN(len(rows))]
		if again.Body != "" && w.random.IntN(2) == 0 {
			again.Body = w.text()
		}
		rows = append(rows, again)
	}
	return rows
}

// length is how many rows a chat has: few as a rule, and now and then many.
func (w *workload) length() int {
	if w.random.IntN(400) == 0 {
		return 1500
	}
	return 1 + w.random.IntN(14)
}

// say makes further rows of a chat.
func (w *workload) say(c *chat, n int) []row {
	rows := make([]row, 0, n)
	for range n {
		role := []string{"customer", "agent", "agent", "customer", "bot", "system"}[w.random.IntN(6)]
		r := w.message(c, role)
		switch {
		case role == "agent" && w.random.IntN(8) == 0:
			r.Kind = "note"
		case role == "agent" && w.random.IntN(12) == 0:
			r.Kind, r.Body, c.agent = "assign", "", w.random.IntN(5)
		}
		rows = append(rows, r)
	}
	c.rows = append(c.rows, rows...)
	return rows
}

// message makes a row in which somebody says something. Several may have one
// time, and then only their sequence and ids tell them apart.
func (w *workload) message(c *chat, role string) row {
	if w.random.IntN(4) > 0 {
		c.next = c.next.Add(time.Duration(w.random.IntN(90_000)) * time.Millisecond)
	}
	n := c.messages
	c.messages++
	r := row{
		Chat: c.id, ID: fmt.Sprintf("%s/%d-%d", c.id, n, w.random.IntN(1000)), SentAt: c.next, Seq: int32(n % 3),
		Role: role, Kind: "message", Body: w.text(), Deleted: w.random.IntN(40) == 0,
	}
	if c.nameless {
		// Equal messages of two phases would be two in a table, one in files.
		r.ID, r.WithoutName, r.Body = "", true, fmt.Sprint(r.Body, " ", n)
	}
	switch role {
	case "customer":
		r.Author, r.Contact, r.Visitor = "person of "+c.id, c.contact, c.visitor
	case "agent":
		r.Author, r.AuthorName = fmt.Sprintf("agent-%d", c.agent), fmt.Sprintf("Agent %d", c.agent)
	case "bot":
		r.Author = "greeter"
	}
	return r
}

func (w *workload) end(c *chat) row {
	r := w.message(c, "agent")
	r.Kind, r.Body = "end", ""
	c.rows = append(c.rows, r)
	return r
}

// unreadable makes a row that holds its chat back.
func (w *workload) unreadable(c *chat) row {
	r := w.message(c, "customer")
	r.Unreadable = true
	if w.random.IntN(2) == 0 {
		r.Role = "ghost"
	} else {
		r.SentAt = time.Time{}
	}
	c.rows = append(c.rows, r)
	return r
}

// edit makes another version of a row that is there.
func (w *workload) edit(c *chat, phase int) (row, bool) {
	i := w.random.IntN(len(c.rows))
	r := &c.rows[i]
	if r.WithoutName || r.Unreadable || r.Kind != "message" {
		return row{}, false
	}
	r.Body, r.Version = w.text(), phase
	return *r, true
}

var words = []string{"hello", "invoice", "größer", "<b>&amp;</b>", "👩‍💻", "refund", "\"quoted\"", "naïve", "line\nbreak", "日本", "back\\slash", "ok"}

func (w *workload) text() string {
	n := 1 + w.random.IntN(8)
	if w.random.IntN(700) == 0 {
		n = 8000 // larger than an event can be
	}
	var b strings.Builder
	b.WriteString(w.secret)
	for range n {
		b.WriteString(" " + words[w.random.IntN(len(words))])
	}
	return b.String()
}

// latest returns the rows of a source as they are after the phases that were
// applied: of every row the last version, duplicates included.
func latest(rows []row) []row {
	type key struct{ chat, id string }
	newest := make(map[key]int)
	for _, r := range rows {
		newest[key{r.Chat, r.ID}] = max(newest[key{r.Chat, r.ID}], r.Version)
	}
	rows = slices.DeleteFunc(slices.Clone(rows), func(r row) bool {
		return !r.WithoutName && r.Version < newest[key{r.Chat, r.ID}]
	})
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.Chat, b.Chat) })
	return rows
}
