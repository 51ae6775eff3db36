package jobs

import (
	"context"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load/failpoint"
	"github.com/chatbackfill/chatbackfill/transform"
)

// rebuilder rebuilds stretches of a pass and leaves out what the ledger has, one at
// a time; several work at once. Of the pass it uses only what stays the same.
type rebuilder struct {
	*pass
	builder *transform.Builder
	arena   *transform.Arena   // of the chunk; nil: what the builder makes is left to the garbage collector
	spare   *transform.Arena   // for the next chunk, see detach
	chunk   *chunk             // being filled
	full    []*chunk           // of the stretch, before that
	fresh   []*transform.Event // of the conversation at hand, see leaveOut
	built   int                // conversations, of all stretches
}

// rebuilt is what a stretch has become.
type rebuilt struct {
	chunks        []*chunk // in order; the last one ends where the stretch does
	rows          int64
	conversations int
	seen          []string // of the conversations that were asked for
	err           error
}

// rebuild rebuilds conversations.
func (b *rebuilder) rebuild(ctx context.Context, transcripts []extract.Transcript) (r rebuilt, err error) {
	failpoint.At("page-read")
	known, err := b.lookUp(ctx, transcripts)
	if err != nil {
		return rebuilt{}, err
	}
	before := b.built
	b.full = nil
	b.open(min(b.ChunkEvents, eventsOf(transcripts)))
	for i := range transcripts {
		t := &transcripts[i]
		select {
		case <-b.Stop:
			return rebuilt{}, ErrInterrupted
		default:
		}
		if b.Limit > 0 && b.built >= b.Limit {
			break
		}
		if !b.Select.has(t.ConversationID) {
			continue
		}
		b.conversation(t, known[t.ConversationID])
		if r.rows += int64(t.Rows()); b.asked[t.ConversationID] && (t.Rows() > 0 || t.Ahead != 0) {
			r.seen = append(r.seen, t.ConversationID)
		}
	}
	b.detach()
	r.conversations = b.built - before
	r.chunks = append(b.full, b.chunk)
	b.chunk, b.full = nil, nil
	return r, nil
}

// lookUp returns what the ledger has of conversations.
func (b *rebuilder) lookUp(ctx context.Context, transcripts []extract.Transcript) (map[string]Delivered, error) {
	if b.ledgerEmpty {
		return nil, nil
	}
	ids := make([]string, len(transcripts))
	for i := range transcripts {
		ids[i] = transcripts[i].ConversationID
	}
	return b.Job.Delivered(ctx, ids)
}

// conversation rebuilds a conversation and adds what is new to the chunk.
func (b *rebuilder) conversation(t *extract.Transcript, delivered Delivered) {
	// A row causes at most an event of its own and an end, and one of them the start.
	if !b.chunk.hasRoom(2*len(t.Messages)+1, b.ChunkEvents) {
		b.next()
	}
	if delivered.Start != 0 && delivered.Start < t.Since {
		t.Refuse(extract.Incomplete, "it started at "+delivered.Start.String()+", and files that end before "+t.Since.String()+" were not read: it lasts longer than source.parquet.lookback")
	}
	made := b.mark()
	built := b.builder.Build(t, transform.Known{Start: delivered.Start, Horizon: b.horizon}, &b.chunk.tally.Tally)
	if b.examine != nil {
		b.examine(t, &built, delivered)
		return
	}
	fresh := b.leaveOut(&built, delivered)
	for len(fresh) > b.ChunkEvents {
		b.chunk.arenas = nil // the events of later chunks are in it too
		b.add(&built, fresh[:b.ChunkEvents])
		fresh = fresh[b.ChunkEvents:]
		partial := b.chunk
		partial.partial = true
		b.next()
		// It is counted with the chunk in which it ends.
		partial.tally, b.chunk.tally = b.chunk.tally, partial.tally
	}
	b.add(&built, fresh)
	b.note(t, &built)
	if len(fresh) == 0 {
		b.rewind(made)
	}
	b.built += min(1, len(t.ConversationID))
	b.chunk.read(&t.ConversationID)
}

// open begins a chunk of about so many events.
func (b *rebuilder) open(events int) {
	b.chunk = newChunk()
	b.chunk.events = make([]*transform.Event, 0, events)
	if b.arena, b.spare = b.spare, nil; b.arena == nil {
		b.arena = b.sink.arena()
	}
	if b.arena != nil {
		b.chunk.arenas = append(b.chunk.arenas, b.arena)
		b.builder.Use(b.arena)
	}
}

// next ends a chunk and begins another one.
func (b *rebuilder) next() {
	b.full = append(b.full, b.chunk)
	b.open(len(b.chunk.events))
}

// detach copies the events of the chunk out of its arena if they are few: an arena
// takes memory however little is in it.
func (b *rebuilder) detach() {
	if len(b.chunk.arenas) == 0 || len(b.chunk.events) > b.ChunkEvents/50 {
		return
	}
	for i, e := range b.chunk.events {
		b.chunk.events[i] = e.Detached()
	}
	b.arena.Reset()
	b.chunk.arenas, b.spare = nil, b.arena
}

// mark returns the moment to which the arena can be rewound.
func (b *rebuilder) mark() (m transform.Mark) {
	if b.arena != nil {
		m = b.arena.Mark()
	}
	return m
}

// rewind gives the memory of the events made since m to later ones.
func (b *rebuilder) rewind(m transform.Mark) {
	if b.arena != nil {
		b.arena.Rewind(m)
	}
}

// leaveOut returns the events that are to be sent: those that the ledger does
// not have. A start that was delivered stays the only one. The slice is valid
// until the next call.
func (b *rebuilder) leaveOut(c *transform.Conversation, delivered Delivered) []*transform.Event {
	fresh := b.fresh[:0]
	for i := range c.Events {
		e := &c.Events[i]
		hash, known := delivered.Events[e.Key]
		again := known && b.Resend.again(hash != e.Hash())
		if again && b.Revision > 0 {
			e.Revise(b.Revision)
		}
		switch {
		case known && !again:
			b.chunk.tally.Events[transform.Delivered]++
		case e.Name == transform.Started && delivered.Start != 0 && !known:
			b.chunk.tally.Events[transform.Delivered]++
		case b.unsendable[e.ID] != "":
			b.chunk.tally.Events[transform.Rejected+transform.Outcome(b.unsendable[e.ID])]++
		case !b.Select.covers(e.Timestamp):
		default:
			fresh = append(fresh, e)
		}
	}
	b.fresh = fresh
	return fresh
}

// add puts events of a conversation into the chunk.
func (b *rebuilder) add(c *transform.Conversation, events []*transform.Event) {
	if len(events) == 0 {
		return
	}
	from := len(b.chunk.events)
	b.chunk.events = append(b.chunk.events, events...)
	b.chunk.parts = append(b.chunk.parts, part{c.ID, c.Start, from, len(b.chunk.events)})
}

// note adds to the chunk what the state is to record of a conversation beside
// its events.
func (b *rebuilder) note(t *extract.Transcript, c *transform.Conversation) {
	b.chunk.rejects = append(b.chunk.rejects, c.Rejects...)
	b.chunk.tally.reject(c, b.settled)
	switch noted := b.due[c.ID]; {
	case b.settles() && (c.Due != 0 || noted != 0):
		b.chunk.due[c.ID] = c.Due
	case c.Due != 0: // what was noted may be of what is not selected, or lacking
		b.chunk.due[c.ID] = extract.Earliest(noted, c.Due)
	}
	if b.rejected[c.ID] && b.settles() && (c.Suppressed || len(t.Rejects) == 0 && c.Rejected == "") {
		b.chunk.clean = append(b.chunk.clean, c.ID)
	}
}
