package jobs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
	"github.com/chatbackfill/chatbackfill/load/failpoint"
	"github.com/chatbackfill/chatbackfill/transform"
)

// pass is one sweep over the source: read, rebuild, leave out what the ledger
// has, hand on.
type pass struct {
	*Run
	sink    sink
	limits  *pipeline // halts the pass when too much is rejected; nil: nothing does
	builder *transform.Builder
	chunk   *chunk
	fresh   []*transform.Event // of the conversation at hand, see leaveOut
	from    extract.Position   // where the pass goes on
	last    *string            // the last conversation that was rebuilt; nil: none was
	source  SourcePass
	horizon extract.Time    // up to which the source shows rows
	counts  Counts          // of the pass up to and with the chunks handed on
	built   int             // conversations rebuilt
	unseen  map[string]bool // conversations asked for by their ids that the source did not show yet

	// examine, if it is set, is given every conversation instead of its events
	// being handed on. The transcript's messages are valid until it returns.
	examine func(t *extract.Transcript, c *transform.Conversation, delivered Delivered)
}

// sink takes the chunks of a pass. After an error of submit nothing more is
// submitted; wait returns once all have ended.
type sink interface {
	// arena returns what the events of the next chunk are made in, which is its
	// until it has ended; nil if its events are needed for longer.
	arena() *transform.Arena
	submit(ctx context.Context, c *chunk) error
	wait() error
}

func (r *Run) newPass(to sink, from Checkpoint) (*pass, error) {
	builder, err := transform.NewBuilder(r.Options)
	if err != nil {
		return nil, &Error{Exit: ExitUsage, Err: err}
	}
	reads := r.reads(from)
	p := &pass{
		Run: r, sink: to, builder: builder,
		source: r.Source.Pass(reads), horizon: from.Upper,
		counts: from.Tally.Clone(), unseen: make(map[string]bool),
	}
	for _, id := range reads.Due {
		if r.Shard.Has(id) {
			p.unseen[id] = true
		}
	}
	p.open(0)
	return p, nil
}

// reads returns what a pass from a checkpoint looks at: what changed between its
// bounds and what is due, or the selected conversations.
func (r *Run) reads(from Checkpoint) extract.Pass {
	pass := extract.Pass{Lower: from.Lower, Upper: from.Upper, Known: r.files.known, Shard: r.Shard}
	switch {
	case r.Select == nil:
	case r.Select.Conversations != nil:
		pass.Lower, pass.Due = pass.Upper, slices.Sorted(maps.Keys(r.Select.Conversations))
		return pass
	default:
		pass.From, pass.Until = r.Select.From, r.Select.Until
		return pass
	}
	first := extract.Time(0)
	for conversation, at := range r.due {
		if at <= from.Upper || r.Options.Final {
			pass.Due = append(pass.Due, conversation)
			if first == 0 || at < first {
				first = at
			}
		}
	}
	slices.Sort(pass.Due)
	if first > r.overdue {
		// A note is due some time after a message.
		pass.DueSince = first.Add(-max(r.Options.WaitForAgent, r.Options.EndAfterIdle))
	}
	pass.Rejected = slices.Collect(maps.Keys(r.rejected))
	return pass
}

// fromStart is the checkpoint of a pass over everything that the source shows
// now.
func (r *Run) fromStart(ctx context.Context) (Checkpoint, error) {
	upper, err := r.Source.Bound(ctx)
	return Checkpoint{Upper: upper, Tally: newCounts()}, err
}

// sweep reads the source from a checkpoint's position to the end.
func (r *Run) sweep(ctx context.Context, from Checkpoint) (Checkpoint, error) {
	pipe := newPipeline(r.Destination, r.lease, r.id, from, r.InFlight)
	pipe.told, pipe.noLedger = r.advanced, r.NoLedger
	p, err := r.newPass(pipe, from)
	if err != nil {
		return from, err
	}
	p.limits = pipe
	if err := pipe.begin(ctx, r.files.atBegin(from.Pass)); err != nil {
		return from, err
	}
	err = p.read(ctx, from.Position)
	var moved *extract.PositionError
	if errors.As(err, &moved) && !r.NoLedger {
		// The source goes through its conversations in another order now. What
		// was delivered before the position is in the ledger.
		r.Log.Warn("the pass begins again", "why", moved)
		err = p.read(ctx, "")
	}
	if err = errors.Join(err, pipe.wait()); err != nil {
		return pipe.checkpoint, err
	}
	if p.limited() {
		return pipe.checkpoint, nil
	}
	return pipe.checkpoint, pipe.finish(ctx, r.files.atEnd(from.Pass, p.source.Files()), p.gone(from))
}

// awhile is for how long at least a conversation is looked for in a database that
// does not show it: unlike a file it may come back as it was.
const awhile = 30 * 24 * time.Hour

// gone returns, as due no more, the conversations that a pass from a checkpoint,
// which has read the source to its end, looked for in all of it and did not find,
// nor did the pass before.
func (p *pass) gone(from Checkpoint) map[string]extract.Time {
	if from.Position != "" {
		return nil
	}
	overdue := p.overdue
	if isDatabase(p.Source) {
		overdue = min(overdue, from.Upper.Add(-awhile))
	}
	over := make(map[string]extract.Time)
	for id := range p.unseen {
		if p.due[id] <= overdue {
			over[id] = 0
		}
	}
	return over
}

// read hands all transcripts after a position on, the next page being read
// while one is worked on.
func (p *pass) read(ctx context.Context, from extract.Position) error {
	p.from = from
	pages, err := p.source.Transcripts(ctx, from)
	if err != nil {
		return err
	}
	reading, cancel := context.WithCancel(ctx)
	ahead := readAhead(reading, pages)
	defer func() {
		cancel()
		for range ahead {
		}
		pages.Close()
	}()
	for page := range ahead {
		if page.err != nil {
			return page.err
		}
		if err := p.page(ctx, page.Page); err != nil {
			return err
		}
		page.Release()
		if p.limited() {
			break
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return p.flush(ctx, p.position())
}

// page rebuilds the conversations of a page and sends what is new.
func (p *pass) page(ctx context.Context, page extract.Page) error {
	failpoint.At("page-read")
	known, err := p.lookUp(ctx, page.Transcripts)
	if err != nil {
		return err
	}
	rows := int64(0)
	for i := range page.Transcripts {
		t := &page.Transcripts[i]
		select {
		case <-p.Stop:
			return ErrInterrupted
		default:
		}
		if p.limited() {
			break
		}
		if !p.Select.has(t.ConversationID) {
			continue
		}
		if err := p.conversation(ctx, t, known[t.ConversationID]); err != nil {
			return err
		}
		if rows += int64(t.Rows()); t.Rows() > 0 || t.Ahead != 0 {
			delete(p.unseen, t.ConversationID)
		}
	}
	p.countRows(rows)
	return nil
}

// lookUp returns what the ledger has of the page's conversations.
func (p *pass) lookUp(ctx context.Context, page []extract.Transcript) (map[string]Delivered, error) {
	if p.ledgerEmpty {
		return nil, nil
	}
	ids := make([]string, len(page))
	for i := range page {
		ids[i] = page[i].ConversationID
	}
	return p.Job.Delivered(ctx, ids)
}

// conversation rebuilds a conversation and adds what is new to the chunk.
func (p *pass) conversation(ctx context.Context, t *extract.Transcript, delivered Delivered) error {
	// A row causes at most an event of its own and an end, and one of them the start.
	if !p.chunk.hasRoom(2*len(t.Messages)+1, p.ChunkEvents) {
		if err := p.flush(ctx, p.position()); err != nil {
			return err
		}
	}
	if delivered.Start != 0 && delivered.Start < t.Since {
		t.Refuse(extract.Incomplete, "it started at "+delivered.Start.String()+", and files that end before "+t.Since.String()+" were not read: it lasts longer than source.parquet.lookback")
	}
	made := p.chunk.mark()
	built := p.builder.Build(t, transform.Known{Start: delivered.Start, Horizon: p.horizon}, &p.chunk.tally.Tally)
	if p.examine != nil {
		p.examine(t, &built, delivered)
		return nil
	}
	fresh := p.leaveOut(&built, delivered)
	for len(fresh) > p.ChunkEvents {
		p.chunk.arena = nil // the events of later chunks are in it too
		p.add(&built, fresh[:p.ChunkEvents])
		fresh = fresh[p.ChunkEvents:]
		if err := p.flush(ctx, ""); err != nil {
			return err
		}
	}
	p.add(&built, fresh)
	p.note(t, &built)
	if len(fresh) == 0 {
		p.chunk.rewind(made)
	}
	p.built += min(1, len(t.ConversationID))
	if t.ConversationID != "" || p.from == "" && p.last == nil {
		p.last = &t.ConversationID // rows of no conversation have a position at the start only
	}
	return nil
}

// position is where to go on after the last conversation that was rebuilt.
func (p *pass) position() extract.Position {
	if p.last == nil {
		return p.from
	}
	return p.source.After(*p.last)
}

// leaveOut returns the events that are to be sent: those that the ledger does
// not have. A start that was delivered stays the only one. The slice is valid
// until the next call.
func (p *pass) leaveOut(c *transform.Conversation, delivered Delivered) []*transform.Event {
	fresh := p.fresh[:0]
	for i := range c.Events {
		e := &c.Events[i]
		hash, known := delivered.Events[e.Key]
		again := known && p.Resend.again(hash != e.Hash())
		if again && p.Revision > 0 {
			e.Revise(p.Revision)
		}
		switch {
		case known && !again:
			p.chunk.tally.Events[transform.Delivered]++
		case e.Name == transform.Started && delivered.Start != 0 && !known:
			p.chunk.tally.Events[transform.Delivered]++
		case p.unsendable[e.ID] != "":
			p.chunk.tally.Events[transform.Rejected+transform.Outcome(p.unsendable[e.ID])]++
		case !p.Select.covers(e.Timestamp):
		default:
			fresh = append(fresh, e)
		}
	}
	p.fresh = fresh
	return fresh
}

// add puts events of a conversation into the chunk.
func (p *pass) add(c *transform.Conversation, events []*transform.Event) {
	if len(events) == 0 {
		return
	}
	from := len(p.chunk.events)
	p.chunk.events = append(p.chunk.events, events...)
	p.chunk.parts = append(p.chunk.parts, part{c.ID, c.Start, from, len(p.chunk.events)})
}

// note adds to the chunk what the state is to record of a conversation beside
// its events.
func (p *pass) note(t *extract.Transcript, c *transform.Conversation) {
	p.chunk.rejects = append(p.chunk.rejects, c.Rejects...)
	p.chunk.tally.reject(c, p.settled)
	switch noted := p.due[c.ID]; {
	case p.settles() && (c.Due != 0 || noted != 0):
		p.chunk.due[c.ID] = c.Due
	case c.Due != 0: // what was noted may be of what is not selected, or lacking
		p.chunk.due[c.ID] = extract.Earliest(noted, c.Due)
	}
	if p.rejected[c.ID] && p.settles() && (c.Suppressed || len(t.Rejects) == 0 && c.Rejected == "") {
		p.chunk.clean = append(p.chunk.clean, c.ID)
	}
}

// settles reports whether what waits or was rejected of a conversation, and does
// not any more, is done with.
func (p *pass) settles() bool { return p.Select.wholly() && !p.lacking }

// open begins a chunk.
func (p *pass) open(seq int) {
	p.chunk = newChunk(seq)
	if arena := p.sink.arena(); arena != nil {
		p.chunk.arena = arena
		p.builder.Use(arena)
	}
}

// flush sends the chunk and begins the next. After is where to read once it is
// done; empty if the last conversation goes on in the next chunk, which then
// has the counts of both.
func (p *pass) flush(ctx context.Context, after extract.Position) error {
	full := p.chunk
	full.after = after
	p.open(full.seq + 1)
	p.chunk.events = make([]*transform.Event, 0, len(full.events))
	p.chunk.parts = make([]part, 0, len(full.parts))
	if after == "" {
		full.tally, p.chunk.tally = p.chunk.tally, full.tally
	}
	if err := p.withinLimits(ctx, full); err != nil {
		return err
	}
	failpoint.At("chunk-built")
	return p.sink.submit(ctx, full)
}

// withinLimits returns an error, and records the chunk's rejects for somebody to
// look at, if too much of the pass is rejected to go on.
func (p *pass) withinLimits(ctx context.Context, c *chunk) error {
	p.counts.Add(c.tally)
	if p.limits == nil {
		return nil
	}
	halt := p.Limits.check(&p.counts)
	if halt == nil {
		return nil
	}
	if err := p.sink.wait(); err != nil {
		return err
	}
	p.count(c, load.Delivery{}, true)
	return errors.Join(halt, p.limits.halt(ctx, c, p.counts))
}

// limited reports whether as many conversations were rebuilt as the run may.
func (p *pass) limited() bool { return p.Limit > 0 && p.built >= p.Limit }
