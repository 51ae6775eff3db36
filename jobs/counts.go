package jobs

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// Counts are what became of a pass's rows and events, and how much of it was
// rejected that nobody has accepted.
type Counts struct {
	transform.Tally
	RejectedRows          int   // rows that cannot be read
	RejectedConversations int   // conversations of which nothing is sent
	Halted                *Halt `json:",omitempty"` // why the pass was halted
}

// Halt is how much of a pass was rejected when it was halted.
type Halt struct {
	Rows, RejectedRows                   int
	Conversations, RejectedConversations int
}

func newCounts() Counts { return Counts{Tally: transform.NewTally()} }

// Add adds the counts of o to c.
func (c *Counts) Add(o Counts) {
	c.Tally.Add(o.Tally)
	c.RejectedRows += o.RejectedRows
	c.RejectedConversations += o.RejectedConversations
}

// Clone returns a copy of c that shares no counts with it.
func (c *Counts) Clone() Counts {
	clone := *c
	clone.Tally = c.Tally.Clone()
	return clone
}

// rejectKey names a reject among those of a job.
type rejectKey struct {
	locator string
	reason  extract.Reason
}

func rejectKeyOf(r *extract.Reject) rejectKey { return rejectKey{storable(r.Locator), r.Reason} }

// reject counts what was rejected of a conversation, those rejects left out
// that somebody has settled.
func (c *Counts) reject(built *transform.Conversation, settled map[rejectKey]bool) {
	fresh := 0
	for i := range built.Rejects {
		r := &built.Rejects[i]
		// What is held back is settled with the rows that hold it back.
		if r.Reason == transform.Held || settled[rejectKeyOf(r)] {
			continue
		}
		fresh++
		if r.Stage == extract.StageRead && r.Set == extract.SetMessages {
			c.RejectedRows += r.RowCount()
		}
	}
	if built.Rejected != "" && fresh > 0 {
		c.RejectedConversations++
	}
}

// toleratedRejects are rejected at most, in rows and in conversations, without
// the run being halted however small the pass is.
const toleratedRejects = 20

// check returns an error if too much of a pass was rejected to go on: a wrong
// mapping must not burn through a year of chats.
func (m RejectsMax) check(c *Counts) error {
	h := Halt{c.RowCount(), c.RejectedRows, c.Conversations, c.RejectedConversations}
	if c.Halted != nil {
		h = *c.Halted
	}
	return errors.Join(
		m.Rows.check(h.RejectedRows, h.Rows, "rows", "rejects.max.rows"),
		m.Conversations.check(h.RejectedConversations, h.Conversations, "conversations", "rejects.max.conversations"),
	)
}

func (limit Percent) check(rejected, all int, what, key string) error {
	if float64(rejected) <= max(toleratedRejects, float64(limit)*float64(all)) {
		return nil
	}
	return &Error{
		Exit: ExitRejects,
		Err: fmt.Errorf("%s of %s %s are rejected, more than %.4g %%: the mapping may be wrong",
			humanize.Comma(int64(rejected)), humanize.Comma(int64(all)), what, 100*float64(limit)),
		Try: "look at chatbackfill rejects count, then mend the job file, raise " + key + ", or say that it is all right with chatbackfill rejects accept",
	}
}
