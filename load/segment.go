package load

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// SegmentConfig says where and how events are sent.
type SegmentConfig struct {
	WriteKey string
	Endpoint string  // base URL of the API: see [EndpointFor] and [ValidateEndpoint]
	Rate     float64 // events a second; 0 is unlimited

	// RetryFor is how long to go on trying while nothing is accepted; with 0 a
	// batch is tried once.
	RetryFor time.Duration
	// Concurrency is how many batches are in flight over all calls of Send;
	// 0 is 4.
	Concurrency int

	// Stop, once closed, lets no further attempt begin and ends all waits. What
	// is under way ends and counts.
	Stop <-chan struct{}
	// Permit is asked right before every attempt; an error of it ends the call of
	// Send that asked, and is returned by it.
	Permit func() error

	Logger *slog.Logger // told of changes of state: down, up, slowed, clock off
	// Observe is told of every attempt. It is called from several goroutines.
	Observe func(Attempt)

	dial dialFunc // for tests
}

// Attempt is one request and what came of it.
type Attempt struct {
	Events   int
	Status   int // of the answer; 0 if there was none
	Took     time.Duration
	Accepted bool
	Retry    bool // the same events are to be sent again
}

// Segment delivers events to Segment's tracking API.
//
// Once Send has returned a [*Refused] or [*Unavailable] every further call
// returns the same: a run that goes on takes a new one.
type Segment struct {
	config    SegmentConfig
	log       *slog.Logger
	transport *http.Transport
	slots     chan struct{} // one place for each batch in flight
	meeting   chan struct{} // held while the first event is sent
	met       atomic.Bool   // the first event has had its answer
	pace      *pace
	clock     clock
	outage    outage
	refusals  refusals

	haltOnce sync.Once
	halted   chan struct{} // closed when nothing will be sent any more
	haltErr  error         // why; set before halted is closed
}

const defaultConcurrency = 4

// NewSegment checks the settings and returns the destination. It sends nothing.
// An error is a [*Misconfigured].
func NewSegment(c SegmentConfig) (*Segment, error) {
	endpoint, err := ValidateEndpoint(c.Endpoint)
	if err != nil {
		return nil, err
	}
	c.Endpoint = endpoint
	if c.WriteKey == "" {
		return nil, &Misconfigured{
			Problem: "the Segment destination has no write key",
			Advice:  "set destination.segment.write_key",
		}
	}
	if c.Concurrency <= 0 {
		c.Concurrency = defaultConcurrency
	}
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Segment{
		config:    c,
		log:       log,
		transport: newTransport(c.Concurrency, c.dial),
		slots:     make(chan struct{}, c.Concurrency),
		meeting:   make(chan struct{}, 1),
		pace:      newPace(c.Rate, log),
		clock:     clock{log: log},
		outage:    outage{limit: c.RetryFor, log: log},
		halted:    make(chan struct{}),
	}, nil
}

// Close closes the idle connections. No call of Send may be under way.
func (d *Segment) Close() { d.transport.CloseIdleConnections() }

// Send sends the events in batches, several at once, until each was accepted or
// rejected. It may be called from several goroutines.
//
// With an error the Delivery says what was achieved nevertheless. The error is
// a [*Refused], an [*Unavailable], [ErrStopped], what Permit returned, or the
// cause of the end of ctx, which cuts off the attempts under way. A panic is a
// [*extract.Panic].
func (d *Segment) Send(ctx context.Context, events []*transform.Event) (Delivery, error) {
	delivery := Delivery{Outcomes: make([]Outcome, len(events))}
	err := extract.Contain(func() error { return d.send(ctx, checked(events, delivery.Outcomes, nil)) })
	return delivery, d.settle(delivery.Outcomes, err)
}

func (d *Segment) send(ctx context.Context, all batch) error {
	if len(all) == 0 {
		return nil
	}
	s := d.newSending(ctx)
	defer s.finish()
	rest, err := s.introduce(all)
	if err != nil {
		return err
	}
	return s.deliverAll(rest.split(d.pace.burst))
}

// settle decides on the error of a call of Send. Events whose refusal turned
// out to say nothing of them are not done after all.
func (d *Segment) settle(outcomes []Outcome, err error) error {
	halt := d.haltError()
	var refused *Refused
	if errors.As(halt, &refused) {
		for i, o := range outcomes {
			if o.Reject != nil && slices.Contains(refused.IDs, o.Reject.Locator) {
				outcomes[i] = Outcome{}
			}
		}
	}
	switch {
	case err == nil && allDone(outcomes):
		return nil
	case halt != nil:
		return halt
	}
	return err
}

// halt ends all sending for good, and returns why: what the first caller said.
func (d *Segment) halt(err error) error {
	d.haltOnce.Do(func() {
		d.haltErr = err
		close(d.halted)
	})
	return d.haltErr
}

func (d *Segment) haltError() error {
	select {
	case <-d.halted:
		return d.haltErr
	default:
		return nil
	}
}

// sending is one call of Send.
type sending struct {
	*Segment
	ctx   context.Context // its end cuts attempts off
	begin context.Context // its end lets no attempt begin; the cause says why
	end   context.CancelCauseFunc
	ended chan struct{}
}

func (d *Segment) newSending(ctx context.Context) *sending {
	s := &sending{Segment: d, ctx: ctx, ended: make(chan struct{})}
	s.begin, s.end = context.WithCancelCause(ctx)
	go s.watch()
	return s
}

// watch ends the waits of s when the run is told to stop or nothing more can be
// sent.
func (s *sending) watch() {
	defer close(s.ended)
	select {
	case <-s.config.Stop:
		s.end(ErrStopped)
	case <-s.halted:
		s.end(s.haltErr)
	case <-s.begin.Done():
	}
}

func (s *sending) finish() {
	s.end(nil)
	<-s.ended
}

// introduce sends the first event of all alone, before anything else is sent to
// this destination. Its answer tells whether the key is right and the clock is:
// before history is moved. It returns the events that are left to be sent.
func (s *sending) introduce(all batch) (batch, error) {
	if s.met.Load() {
		return all, nil
	}
	select {
	case s.meeting <- struct{}{}:
		defer func() { <-s.meeting }()
	case <-s.begin.Done():
		return nil, context.Cause(s.begin)
	}
	if s.met.Load() {
		return all, nil
	}
	if err := s.deliver(all[:1]); err != nil {
		return nil, err
	}
	s.met.Store(true)
	return all[1:], nil
}

// deliverAll delivers the batches, as many at once as there are slots. After
// an error no further attempt begins.
func (s *sending) deliverAll(batches []batch) error {
	var g errgroup.Group
	for _, b := range batches {
		g.Go(func() error {
			err := extract.Contain(func() error { return s.deliverInSlot(b) })
			if err != nil {
				s.end(err)
			}
			return err
		})
	}
	return g.Wait()
}

func (s *sending) deliverInSlot(b batch) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-s.begin.Done():
		return context.Cause(s.begin)
	}
	return s.deliver(b)
}
