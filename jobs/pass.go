package jobs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load/failpoint"
	"github.com/chatbackfill/chatbackfill/transform"
)

// pass is one sweep over the source: read, rebuild, leave out what the ledger
// has, hand on.
type pass struct {
	*Run
	sink       sink
	limits     *pipeline // halts the pass when too much is rejected; nil: nothing does
	rebuilders []*rebuilder
	chunk      *chunk           // being filled; nil: none is
	seq        int              // of the next chunk that is handed on
	from       extract.Position // where the pass goes on
	last       *string          // the last conversation of the chunks handed on; nil: there is none
	source     SourcePass
	horizon    extract.Time    // up to which the source shows rows
	counts     Counts          // of the pass up to and with the chunks handed on
	built      int             // conversations rebuilt
	asked      map[string]bool // conversations asked for by their ids
	unseen     map[string]bool // those that the source did not show yet

	// examine, if it is set, is given every conversation, one after the other,
	// instead of its events being handed on. The transcript's messages are valid
	// until it returns.
	examine func(t *extract.Transcript, c *transform.Conversation, delivered Delivered)
}

// sink takes the chunks of a pass. After an error of submit nothing more is
// submitted; wait returns once all have ended.
type sink interface {
	// arena returns what the events of a chunk are made in, which is its until it
	// has ended; nil if its events are needed for longer. Any goroutine may call it.
	arena() *transform.Arena
	submit(ctx context.Context, c *chunk) error
	wait(ctx context.Context) error
}

func (r *Run) newPass(to sink, from Checkpoint) (*pass, error) {
	reads := r.reads(from)
	p := &pass{
		Run: r, sink: to,
		source: r.Source.Pass(reads), horizon: from.Upper,
		counts: from.Tally.Clone(), asked: make(map[string]bool),
	}
	for _, id := range reads.Due {
		if r.Shard.Has(id) {
			p.asked[id] = true
		}
	}
	p.unseen = maps.Clone(p.asked)
	for range rebuilderCount() {
		builder, err := transform.NewBuilder(r.Options)
		if err != nil {
			return nil, &Error{Exit: ExitUsage, Err: err}
		}
		p.rebuilders = append(p.rebuilders, &rebuilder{pass: p, builder: builder})
	}
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

// pipeline returns one for the run's chunks.
func (r *Run) pipeline(from Checkpoint) *pipeline {
	pipe := newPipeline(r.Destination, r.lease, r.id, from, r.InFlight)
	pipe.told, pipe.retains = r.advanced, r.Report != nil
	return pipe
}

// sweep reads the source from a checkpoint's position to the end.
func (r *Run) sweep(ctx context.Context, from Checkpoint) (Checkpoint, error) {
	pipe := r.pipeline(from)
	pipe.noLedger = r.NoLedger
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
	if err = errors.Join(err, pipe.wait(ctx)); err != nil {
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

// read rebuilds all transcripts after a position and hands on what is new.
func (p *pass) read(ctx context.Context, from extract.Position) error {
	p.from, p.last, p.chunk = from, nil, nil
	pages, err := p.source.Transcripts(ctx, from)
	if err != nil {
		return err
	}
	reading, cancel := context.WithCancel(ctx)
	ahead := readAhead(reading, pages)
	rebuilding := rebuildAhead(reading, ahead, p.rebuilders[:p.atOnce()])
	defer func() {
		cancel()
		for some := range rebuilding {
			<-some
		}
		for range ahead {
		}
		pages.Close()
	}()
	for some := range rebuilding {
		if err := p.take(ctx, <-some); err != nil {
			return err
		}
		if p.limited() {
			break
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if p.chunk == nil {
		p.chunk = newChunk()
	}
	return p.flush(ctx)
}

// take adds what a stretch has become to the chunk, and hands chunks on that are
// full.
func (p *pass) take(ctx context.Context, some rebuilt) error {
	if some.err != nil {
		return some.err
	}
	for _, id := range some.seen {
		delete(p.unseen, id)
	}
	p.built += some.conversations
	p.countRows(some.rows)
	for _, c := range some.chunks {
		if p.chunk != nil && p.chunk.merge(c, p.ChunkEvents) {
			continue
		}
		if p.chunk != nil {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
		p.chunk = c
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

// flush hands the chunk on.
func (p *pass) flush(ctx context.Context) error {
	full := p.chunk
	p.chunk = nil
	full.seq = p.seq
	p.seq++
	// Rows of no conversation have a position at the start only.
	if full.last != nil && (*full.last != "" || p.from == "" && p.last == nil) {
		p.last = full.last
	}
	full.last = nil
	if !full.partial {
		full.after = p.position()
	}
	if err := p.withinLimits(ctx, full); err != nil {
		return err
	}
	failpoint.At("chunk-built")
	return p.sink.submit(ctx, full)
}

// settles reports whether what waits or was rejected of a conversation, and does
// not any more, is done with.
func (r *Run) settles() bool { return r.Select.wholly() && !r.lacking }

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
	if err := p.sink.wait(ctx); err != nil {
		return err
	}
	p.count(&sent{chunk: c}, true)
	return errors.Join(halt, p.limits.halt(ctx, c, p.counts))
}

// limited reports whether as many conversations were rebuilt as the run may.
func (p *pass) limited() bool { return p.Limit > 0 && p.built >= p.Limit }
