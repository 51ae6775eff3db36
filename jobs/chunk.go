package jobs

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
	"github.com/chatbackfill/chatbackfill/transform"
)

// chunk is some conversations' events that are sent and then checkpointed
// together.
type chunk struct {
	seq     int
	events  []*transform.Event
	arenas  []*transform.Arena // what they are in; else they are left to the garbage collector
	parts   []part
	rejects []extract.Reject
	clean   []string                // conversations with open rejects that are clean now
	due     map[string]extract.Time // see commit
	tally   Counts                  // of the rows and of the events that are not sent
	last    *string                 // the last conversation; nil: there is none
	partial bool                    // it goes on in the next chunk
	after   extract.Position        // where to read once the chunk is done; empty if it is partial
}

// part is a conversation's share of a chunk's events.
type part struct {
	conversation string
	start        extract.Time
	from, to     int // of chunk.events
}

func newChunk() *chunk {
	return &chunk{tally: newCounts(), due: make(map[string]extract.Time)}
}

// bytesPerEvent is what an event takes on average in a chunk that is full.
const bytesPerEvent = 4 << 10

// hasRoom reports whether events can be added to those of a chunk that has at most
// so many. Any chunk has room for one conversation. What is in memory counts too,
// for events that need not be sent may lie between those that are.
func (c *chunk) hasRoom(events, most int) bool {
	n := len(c.events)
	return n == 0 || n+events <= most && c.size() < most*bytesPerEvent
}

// size is the memory that events take, in bytes.
func (c *chunk) size() (size int) {
	for _, a := range c.arenas {
		size += a.Size()
	}
	return size
}

// read notes that a conversation is in the chunk. Rows of no conversation come
// after nothing.
func (c *chunk) read(conversation *string) {
	if *conversation != "" || c.last == nil {
		c.last = conversation
	}
}

// maxArenas is how many arenas a chunk of so many events may be in: each takes
// memory, however little is in it.
func maxArenas(events int) int { return 4 + events/1000 }

// merge adds what is in the next chunk, if there is room for it.
func (c *chunk) merge(next *chunk, most int) bool {
	if c.partial || next.partial || len(c.arenas)+len(next.arenas) > maxArenas(most) || !c.hasRoom(len(next.events), most) {
		return false
	}
	shift := len(c.events)
	c.events = append(c.events, next.events...)
	for _, p := range next.parts {
		c.parts = append(c.parts, part{p.conversation, p.start, p.from + shift, p.to + shift})
	}
	c.arenas = append(c.arenas, next.arenas...)
	c.rejects, c.clean = append(c.rejects, next.rejects...), append(c.clean, next.clean...)
	maps.Copy(c.due, next.due)
	c.tally.Add(next.tally)
	if next.last != nil {
		c.read(next.last)
	}
	return true
}

// settlement is what became of a chunk's events.
type settlement struct {
	ledger   []ledgerEntry // of those that were accepted, if there is a ledger
	rejects  []extract.Reject
	accepted acceptance
}

// acceptance counts events that were accepted.
type acceptance struct {
	events         [len(transform.Names) + 1]int // by name
	oldest, newest extract.Time
}

func (a *acceptance) add(e *transform.Event) {
	a.events[e.Name]++
	if a.oldest == 0 || e.Timestamp < a.oldest {
		a.oldest = e.Timestamp
	}
	a.newest = max(a.newest, e.Timestamp)
}

// settle says what became of the events, and counts it.
func (c *chunk) settle(outcomes []load.Outcome, noLedger bool) (s settlement) {
	var entries []byte
	if !noLedger {
		entries = make([]byte, 0, entrySize*len(c.events))
	}
	for _, p := range c.parts {
		entry, from := ledgerEntry{conversation: p.conversation}, len(entries)
		for i := p.from; i < p.to; i++ {
			e, outcome := c.events[i], outcomes[i]
			switch {
			case outcome.Accepted:
				s.accepted.add(e)
				if noLedger {
					continue
				}
				entries = appendEntry(entries, e.Key, e.Hash())
				if e.Name == transform.Started {
					entry.start = p.start
				}
			case outcome.Reject != nil:
				reject := *outcome.Reject
				reject.ConversationID = p.conversation
				s.rejects = append(s.rejects, reject)
				c.tally.Events[transform.Rejected+transform.Outcome(reject.Reason)]++
			}
		}
		if entry.entries = entries[from:len(entries):len(entries)]; len(entry.entries) > 0 {
			entry.conversation = strings.Clone(entry.conversation)
			s.ledger = append(s.ledger, entry)
		}
	}
	for _, n := range s.accepted.events {
		if n > 0 {
			c.tally.Events[transform.Accepted] += n
		}
	}
	return s
}

// ended is a chunk that was delivered as a whole, with what the destination
// needs to go on after it.
type ended struct {
	*chunk
	destination json.RawMessage
}

// advance moves a checkpoint over chunks that ended. Counts move with the
// position: those of a conversation that goes on in a chunk yet to end are left
// for when that one has ended.
//
// What the destination wrote of such a conversation stays if the ledger knows
// it. Without a ledger it is written again.
func advance(to Checkpoint, chunks []ended, pending Counts, ledger bool) (Checkpoint, Counts) {
	to.Tally, pending = to.Tally.Clone(), pending.Clone()
	for _, c := range chunks {
		pending.Add(c.tally)
		if c.destination != nil && (ledger || c.after != "") {
			to.Destination = c.destination
		}
		if c.after != "" {
			to.Position = c.after
			to.Tally.Add(pending)
			pending = newCounts()
		}
	}
	return to, pending
}
