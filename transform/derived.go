package transform

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
)

// DerivedProperties are properties that are not in the spec and that a job can
// ask for. All look at the rows up to the event only.
var DerivedProperties = []string{
	"first_response_seconds", // Ended: from the start to the first message of a human agent after it
	"response_seconds",       // Received of a human agent: since the oldest customer message not yet answered by one
	"message_count",          // Ended
	"customer_message_count", // Ended
	"agent_message_count",    // Ended: by human agents
	"agent_count",            // Ended: distinct human agents who wrote
	"message_index",          // Sent, Received: 1 for the first message
}

// derivedSet says which of DerivedProperties are wanted, a bit each.
type derivedSet uint

const (
	firstResponse derivedSet = 1 << iota
	response
	messageCount
	customerMessageCount
	agentMessageCount
	agentCount
	messageIndex
)

func newDerivedSet(names []string) (derivedSet, error) {
	var set derivedSet
	for _, name := range names {
		i := slices.Index(DerivedProperties, name)
		if i < 0 {
			return 0, fmt.Errorf("derived property %q: unknown; there are %s", name, strings.Join(DerivedProperties, ", "))
		}
		set |= 1 << i
	}
	return set, nil
}

// counter counts along the rows of a conversation.
type counter struct {
	set        derivedSet
	start      extract.Time
	afterStart int // the first row after the start

	messages, customers, agents int64
	wrote                       map[Agent]struct{}
	firstResponse               extract.Time // of a human agent after the start
	unanswered                  extract.Time // the oldest customer message that no human agent answered
	waited                      extract.Time // what unanswered was before the row at hand

	numbers []byte
}

func (c *counter) reset(set derivedSet, start extract.Time, afterStart int) {
	wrote := c.wrote
	if len(wrote) > keepRows || wrote == nil {
		wrote = make(map[Agent]struct{})
	}
	clear(wrote)
	*c = counter{set: set, start: start, afterStart: afterStart, wrote: wrote, numbers: c.numbers}
}

// add counts row i. It comes before the row's events.
func (c *counter) add(i int, r *row) {
	if c.set == 0 || !r.isMessage {
		return
	}
	c.messages++
	switch r.Role {
	case extract.Customer:
		c.customers++
		if c.unanswered == 0 {
			c.unanswered = r.SentAt
		}
	case extract.Agent:
		c.agents++
		c.waited, c.unanswered = c.unanswered, 0
		if c.firstResponse == 0 && i >= c.afterStart {
			c.firstResponse = r.SentAt
		}
		if who := r.Author; who.ID != "" {
			c.wrote[Agent{ID: who.ID}] = struct{}{}
		} else if who.Known() {
			c.wrote[who] = struct{}{}
		}
	}
}

// appendTo adds the wanted properties of an event of row r, the last one added.
func (c *counter) appendTo(all []Property, f *draft, r *row) []Property {
	add := func(which derivedSet, value int64) {
		if c.set&which != 0 {
			name := DerivedProperties[bits.TrailingZeros(uint(which))]
			all = append(all, Property{name, c.number(value)})
		}
	}
	switch f.name {
	case Ended:
		if c.firstResponse != 0 {
			add(firstResponse, seconds(c.firstResponse, c.start))
		}
		add(messageCount, c.messages)
		add(customerMessageCount, c.customers)
		add(agentMessageCount, c.agents)
		add(agentCount, int64(len(c.wrote)))
	case Sent:
		add(messageIndex, c.messages)
	case Received:
		add(messageIndex, c.messages)
		if r.Role == extract.Agent && c.waited != 0 {
			add(response, seconds(r.SentAt, c.waited))
		}
	}
	return all
}

// number returns n as JSON. Many numbers share their memory.
func (c *counter) number(n int64) []byte {
	const longest = len("-9223372036854775808")
	if cap(c.numbers)-len(c.numbers) < longest {
		c.numbers = make([]byte, 0, 100*longest)
	}
	start := len(c.numbers)
	c.numbers = strconv.AppendInt(c.numbers, n, 10)
	return c.numbers[start:len(c.numbers):len(c.numbers)]
}

func seconds(to, from extract.Time) int64 { return int64(max(0, to.Sub(from)) / time.Second) }
