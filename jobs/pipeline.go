package jobs

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
	"github.com/chatbackfill/chatbackfill/load/failpoint"
	"github.com/chatbackfill/chatbackfill/transform"
)

// Destination takes events. Send says what became of each; what it achieved
// before an error counts. State in a Delivery is kept in the checkpoint that
// records it.
type Destination interface {
	Send(ctx context.Context, events []*transform.Event) (load.Delivery, error)
}

// appender is a destination that takes chunks one at a time, in their order, and
// has not delivered any before Sync has returned. A call of Sync is for all that
// was sent before it; the next chunk may be sent meanwhile.
type appender interface{ Sync() error }

// pipeline sends chunks, several at once, and checkpoints them.
//
// A chunk's accepted events enter the ledger as soon as the chunk ends; those of
// chunks that end while others are recorded, together, and those of chunks that are
// appended, every [recordEvery]. The position moves only over chunks before which
// none is missing: whatever happens to a chunk, everything before the position is
// done.
type pipeline struct {
	destination Destination
	appender    appender // the destination, if it is one
	lease       *Lease
	runID       string
	slots       chan struct{}
	turn        chan struct{}         // closed once it is the turn of the next chunk to be sent, if they go in order
	arenas      chan *transform.Arena // of chunks that have ended
	sending     sync.WaitGroup
	resending   bool                      // events that were delivered are sent again
	noLedger    bool                      // nothing but the position is kept
	still       bool                      // the position and the counts stay as they are
	retains     bool                      // told is given the events
	told        func(s *sent, whole bool) // of every chunk that was sent, as a whole or not

	mu         sync.Mutex
	sent       []sent    // not yet recorded
	recordedAt time.Time // when they were none; zero: never
	err        error     // the first error; nothing is begun after it

	recording  sync.Mutex // held while chunks are recorded; guards the rest
	checkpoint Checkpoint
	pending    Counts        // of chunks before the position, see advance
	next       int           // the first chunk that has not ended
	early      map[int]ended // those that ended after it
}

// sent is a chunk that was sent, as a whole unless there is an error.
type sent struct {
	*chunk
	settlement
	outcomes    []load.Outcome  // of its events, if they are retained
	destination json.RawMessage // what it needs to go on after the chunk
	err         error
}

// recordEvery is how often what is appended is synced and recorded, as long as more
// is appended: each time the disk is waited for, and a processor with it, be it much
// or little.
const recordEvery = 100 * time.Millisecond

func newPipeline(d Destination, l *Lease, runID string, from Checkpoint, inFlight int) *pipeline {
	from.Tally = from.Tally.Clone()
	p := &pipeline{
		destination: d, lease: l, runID: runID, checkpoint: from, pending: newCounts(),
		slots: make(chan struct{}, inFlight), arenas: make(chan *transform.Arena, 2*chunksInFlight), early: make(map[int]ended),
		turn: make(chan struct{}), told: func(*sent, bool) {},
	}
	p.appender, _ = d.(appender)
	close(p.turn)
	return p
}

// begin records that the pass has begun, and with which files: from here on it
// is resumed.
func (p *pipeline) begin(ctx context.Context, files *fileList) error {
	if d, ok := p.destination.(interface{ State() json.RawMessage }); ok {
		p.checkpoint.Destination = d.State()
	}
	return p.lease.Commit(ctx, p.runID, commit{advance: &p.checkpoint, files: files})
}

// arena returns one that a chunk that has ended was in, if there is any.
func (p *pipeline) arena() *transform.Arena {
	select {
	case a := <-p.arenas:
		return a
	default:
		return transform.NewArena()
	}
}

// release gives the memory of a chunk that has ended to a later one.
func (p *pipeline) release(c *chunk) {
	for _, arena := range c.arenas {
		arena.Reset()
		select {
		case p.arenas <- arena:
		default:
		}
	}
	c.events, c.arenas, c.parts = nil, nil, nil
}

// submit sends a chunk once there is room. It returns the error of an earlier
// chunk, if there is one: nothing is to be submitted after that.
func (p *pipeline) submit(ctx context.Context, c *chunk) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := p.failure(); err != nil {
		<-p.slots
		return err
	}
	turn, next := p.turn, make(chan struct{})
	p.turn = next
	p.sending.Go(func() {
		defer func() { <-p.slots }()
		p.contain(func() {
			if p.appender != nil {
				<-turn
			}
			p.send(ctx, c)
		})
		close(next) // once a failure is known
		if p.due() {
			p.contain(func() { p.record(ctx) })
		}
	})
	return nil
}

// due reports whether what was sent is to be recorded now.
func (p *pipeline) due() bool {
	if p.appender == nil || p.retains {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.recordedAt) >= recordEvery
}

// contain makes an error of a panic.
func (p *pipeline) contain(f func()) {
	p.fail(extract.Contain(func() error { f(); return nil }))
}

// wait returns once all chunks have ended, with the first error.
func (p *pipeline) wait(ctx context.Context) error {
	p.sending.Wait()
	p.contain(func() { p.record(ctx) })
	return p.failure()
}

func (p *pipeline) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

func (p *pipeline) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// send sends a chunk, and leaves it to be recorded.
func (p *pipeline) send(ctx context.Context, c *chunk) {
	if p.appender != nil && p.failure() != nil {
		return // a chunk that failed is missing before this one
	}
	var d load.Delivery
	s := sent{chunk: c}
	if len(c.events) > 0 {
		d, s.err = p.destination.Send(ctx, c.events)
		failpoint.At("chunk-sent")
	}
	s.settlement, s.destination = c.settle(d.Outcomes, p.noLedger), d.State
	switch {
	case p.retains:
		s.outcomes = d.Outcomes
	case s.err == nil: // else an attempt that was given up may still read them
		p.release(c)
	}
	p.fail(s.err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, s)
}

// record records the chunks that were sent, if nobody has done so already: those
// that were sent while others were recorded, together.
func (p *pipeline) record(ctx context.Context) {
	p.recording.Lock()
	defer p.recording.Unlock()
	p.mu.Lock()
	group := p.sent
	p.sent, p.recordedAt = nil, time.Now()
	p.mu.Unlock()
	if p.appender != nil { // what is appended after a chunk that is not recorded is lost
		group = p.unbroken(group)
	}
	if len(group) == 0 {
		return
	}
	p.sync(group)
	err := p.commit(ctx, group)
	p.fail(err)
	for i := range group {
		s := &group[i]
		p.told(s, s.err == nil && err == nil)
		if s.err == nil {
			p.release(s.chunk)
		}
	}
}

// unbroken returns the first chunks of a group, those before which none is missing.
func (p *pipeline) unbroken(group []sent) []sent {
	for i := range group {
		if group[i].seq != p.next+i {
			return group[:i]
		}
	}
	return group
}

// sync makes what was appended durable. If it cannot, nothing is delivered.
func (p *pipeline) sync(group []sent) {
	if p.appender == nil {
		return
	}
	err := p.appender.Sync()
	if err == nil {
		return
	}
	p.fail(err)
	for i := range group {
		group[i] = sent{chunk: group[i].chunk, err: err}
	}
}

// commit records what became of chunks, and moves the checkpoint if it can.
// What was accepted is recorded even when the run is being stopped.
func (p *pipeline) commit(ctx context.Context, group []sent) error {
	record := commit{resent: p.resending, due: make(map[string]extract.Time)}
	for _, s := range group {
		record.bound = record.bound || s.destination != nil
		record.ledger, record.rejects = append(record.ledger, s.ledger...), append(record.rejects, s.settlement.rejects...)
		if s.err != nil {
			continue
		}
		record.rejects = append(record.rejects, s.chunk.rejects...)
		record.clean = append(record.clean, s.clean...)
		maps.Copy(record.due, s.due)
		p.early[s.seq] = ended{s.chunk, s.destination}
	}
	chunks := p.inOrder()
	moved, pending := advance(p.checkpoint, chunks, p.pending, !p.noLedger)
	if p.still {
		destination := moved.Destination
		moved, pending = p.checkpoint, p.pending
		moved.Destination = destination
	}
	if len(chunks) > 0 {
		record.advance = &moved
	}
	if err := p.lease.Commit(context.WithoutCancel(ctx), p.runID, record); err != nil {
		// Chunks after these may be recorded yet: the position stays before them.
		for _, s := range group {
			delete(p.early, s.seq)
		}
		return err
	}
	for range chunks {
		delete(p.early, p.next)
		p.next++
	}
	p.checkpoint, p.pending = moved, pending
	return nil
}

// inOrder returns the chunks that have ended and before which none is missing.
func (p *pipeline) inOrder() []ended {
	var chunks []ended
	for next := p.next; ; next++ {
		c, ok := p.early[next]
		if !ok {
			return chunks
		}
		chunks = append(chunks, c)
	}
}

// halt records the rejects of a chunk that is not sent, and the counts of the
// pass that made it halt. The position stays before the chunk.
func (p *pipeline) halt(ctx context.Context, c *chunk, counts Counts) error {
	p.recording.Lock()
	defer p.recording.Unlock()
	halted := p.checkpoint
	halted.Tally = halted.Tally.Clone()
	halted.Tally.Halted = &Halt{
		Rows: counts.RowCount(), RejectedRows: counts.RejectedRows,
		Conversations: counts.Conversations, RejectedConversations: counts.RejectedConversations,
	}
	return p.lease.Commit(context.WithoutCancel(ctx), p.runID, commit{rejects: c.rejects, advance: &halted})
}

// finish marks the pass as done, and conversations as due no more. All chunks
// have ended without an error.
func (p *pipeline) finish(ctx context.Context, files *fileList, over map[string]extract.Time) error {
	p.recording.Lock()
	defer p.recording.Unlock()
	done := p.checkpoint
	done.Done = true
	if err := p.lease.Commit(context.WithoutCancel(ctx), p.runID, commit{advance: &done, files: files, due: over}); err != nil {
		return err
	}
	p.checkpoint = done
	return nil
}
