package jobs

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"

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

// maxRebuilders is how many stretches are rebuilt at once: more would wait for what
// reads pages, and for what takes chunks.
const maxRebuilders = 2

// memoryForMore is the memory, in bytes, that reading has to have for more than one
// stretch to be rebuilt at once: whoever gives it less has little.
const memoryForMore = 128 << 20

// rebuilderCount is how many rebuilders a pass has.
func rebuilderCount() int {
	if extract.MemoryInUse() < memoryForMore {
		return 1
	}
	return min(maxRebuilders, runtime.GOMAXPROCS(0))
}

// atOnce is how many stretches are rebuilt at once. What counts conversations, or
// looks at each, does so in their order, and a database on the same machine needs a
// processor itself.
func (p *pass) atOnce() int {
	if p.Limit > 0 || p.examine != nil || isDatabase(p.Source) {
		return 1
	}
	return len(p.rebuilders)
}

// stretch is some consecutive transcripts of a page.
type stretch struct {
	transcripts []extract.Transcript
	page        *opened
	err         error // instead of transcripts
}

// opened is a page of which stretches are being rebuilt.
type opened struct {
	extract.Page
	left atomic.Int64 // transcripts not yet rebuilt
}

// stretches cuts pages into stretches that have about as many events as a chunk.
// Next returns false after the last one.
type stretches struct {
	pages <-chan pageRead
	page  *opened
	rest  []extract.Transcript // of the page
	most  int                  // events
}

func (s *stretches) next() (stretch, bool) {
	for len(s.rest) == 0 {
		read, ok := <-s.pages
		if !ok || read.err != nil {
			return stretch{err: read.err}, ok
		}
		s.page, s.rest = &opened{Page: read.Page}, read.Transcripts
		s.page.left.Store(int64(len(s.rest)))
	}
	n, events := 0, 0
	for n < len(s.rest) && (n == 0 || events < s.most) {
		events += len(s.rest[n].Messages) + 2 // a start and an end
		n++
	}
	some := stretch{transcripts: s.rest[:n], page: s.page}
	s.rest = s.rest[n:]
	return some, true
}

// done gives the memory of the page's messages back once no other stretch needs it.
func (s *stretch) done() {
	if s.page != nil && s.page.left.Add(-int64(len(s.transcripts))) == 0 {
		s.page.Release()
	}
}

// rebuildAhead rebuilds pages, as many stretches at once as there are rebuilders,
// and returns what they become in their order. The channel is closed after the last
// page, after one that could not be read, and when ctx ends. Whoever receives from
// it receives everything, and from each channel once.
func rebuildAhead(ctx context.Context, pages <-chan pageRead, rebuilders []*rebuilder) <-chan (<-chan rebuilt) {
	idle := make(chan *rebuilder, len(rebuilders))
	for _, b := range rebuilders {
		idle <- b
	}
	cut := stretches{pages: pages, most: rebuilders[0].ChunkEvents * 9 / 10}
	inOrder := make(chan (<-chan rebuilt))
	go func() {
		defer close(inOrder)
		for {
			b := <-idle
			some, ok := cut.next()
			if !ok {
				return
			}
			done := make(chan rebuilt, 1)
			go func() {
				r := b.contained(ctx, some)
				idle <- b
				done <- r
			}()
			inOrder <- done
		}
	}()
	return inOrder
}

// contained rebuilds a stretch, and makes an error of a panic.
func (b *rebuilder) contained(ctx context.Context, s stretch) (r rebuilt) {
	if s.err != nil {
		return rebuilt{err: s.err}
	}
	defer s.done()
	if err := extract.Contain(func() error { r = b.rebuild(ctx, s.transcripts); return nil }); err != nil {
		return rebuilt{err: err}
	}
	return r
}

// rebuild rebuilds conversations.
func (b *rebuilder) rebuild(ctx context.Context, transcripts []extract.Transcript) (r rebuilt) {
	failpoint.At("page-read")
	known, err := b.lookUp(ctx, transcripts)
	if err != nil {
		return rebuilt{err: err}
	}
	before := b.built
	b.full = nil
	b.open()
	b.chunk.events = make([]*transform.Event, 0, min(b.ChunkEvents, 4*len(transcripts)))
	for i := range transcripts {
		t := &transcripts[i]
		select {
		case <-b.Stop:
			return rebuilt{err: ErrInterrupted}
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
	return r
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

// open begins a chunk.
func (b *rebuilder) open() {
	b.chunk = newChunk()
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
	full := b.chunk
	b.full = append(b.full, full)
	b.open()
	b.chunk.events = make([]*transform.Event, 0, len(full.events))
	b.chunk.parts = make([]part, 0, len(full.parts))
}

// detach copies the events of the chunk out of its arena if they are few: an arena
// takes memory however little is in it.
func (b *rebuilder) detach() {
	if len(b.chunk.arenas) == 0 || len(b.chunk.events) > b.ChunkEvents/50 {
		return
	}
	for i, e := range b.chunk.events {
		detached := *e
		detached.JSON = slices.Clone(e.JSON)
		b.chunk.events[i] = &detached
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
