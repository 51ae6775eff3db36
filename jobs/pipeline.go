package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

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

// pipeline sends chunks, several at once, and checkpoints them.
//
// A chunk's accepted events enter the ledger as soon as the chunk ends. The
// position moves only over chunks before which none is missing: whatever
// happens to a chunk, everything before the position is done.
type pipeline struct {
	destination Destination
	lease       *Lease
	runID       string
	slots       chan struct{}
	arenas      chan *transform.Arena // of chunks that have ended
	sending     sync.WaitGroup
	resending   bool                                        // events that were delivered are sent again
	noLedger    bool                                        // nothing but the position is kept
	still       bool                                        // the position and the counts stay as they are
	told        func(c *chunk, d load.Delivery, whole bool) // of every chunk that was sent, as a whole or not

	mu         sync.Mutex
	checkpoint Checkpoint
	pending    Counts        // of chunks before the position, see advance
	next       int           // the first chunk that has not ended
	early      map[int]ended // those that ended after it
	err        error         // the first error; nothing is begun after it
}

func newPipeline(d Destination, l *Lease, runID string, from Checkpoint, inFlight int) *pipeline {
	from.Tally = from.Tally.Clone()
	return &pipeline{
		destination: d, lease: l, runID: runID, checkpoint: from, pending: newCounts(),
		slots: make(chan struct{}, inFlight), arenas: make(chan *transform.Arena, inFlight+1), early: make(map[int]ended),
		told: func(*chunk, load.Delivery, bool) {},
	}
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
	if c.arena == nil {
		return
	}
	c.events = nil
	c.arena.Reset()
	select {
	case p.arenas <- c.arena:
	default:
	}
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
	p.sending.Go(func() {
		defer func() { <-p.slots }()
		if err := extract.Contain(func() error { p.deliver(ctx, c); return nil }); err != nil {
			p.fail(err)
		}
	})
	return nil
}

// wait returns once all chunks have ended, with the first error.
func (p *pipeline) wait() error {
	p.sending.Wait()
	return p.failure()
}

func (p *pipeline) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = errors.Join(p.err, err)
}

func (p *pipeline) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *pipeline) deliver(ctx context.Context, c *chunk) {
	var d load.Delivery
	var err error
	if len(c.events) > 0 {
		d, err = p.destination.Send(ctx, c.events)
		failpoint.At("chunk-sent")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if commitErr := p.commit(ctx, c, d, err == nil); err == nil {
		err = commitErr
	}
	if p.err == nil {
		p.err = err
	}
	p.told(c, d, err == nil)
	if err == nil {
		p.release(c)
	}
}

// commit records what became of a chunk, and moves the checkpoint if it can.
// What was accepted is recorded even when the run is being stopped.
func (p *pipeline) commit(ctx context.Context, c *chunk, d load.Delivery, whole bool) error {
	record := commit{bound: d.State != nil, resent: p.resending}
	record.ledger, record.rejects = c.settle(d)
	if p.noLedger {
		record.ledger = nil
	}
	if whole {
		record.rejects = append(record.rejects, c.rejects...)
		record.clean, record.due = c.clean, c.due
		p.early[c.seq] = ended{c, d.State}
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
	p.mu.Lock()
	defer p.mu.Unlock()
	halted := p.checkpoint
	halted.Tally = halted.Tally.Clone()
	halted.Tally.Halted = &Halt{
		Rows: counts.RowCount(), RejectedRows: counts.RejectedRows,
		Conversations: counts.Conversations, RejectedConversations: counts.RejectedConversations,
	}
	return p.lease.Commit(context.WithoutCancel(ctx), p.runID, commit{rejects: c.rejects, advance: &halted})
}

// finish marks the pass as done. All chunks have ended without an error.
func (p *pipeline) finish(ctx context.Context, files *fileList) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := p.checkpoint
	done.Done = true
	if err := p.lease.Commit(context.WithoutCancel(ctx), p.runID, commit{advance: &done, files: files}); err != nil {
		return err
	}
	p.checkpoint = done
	return nil
}
