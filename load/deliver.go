package load

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// deliver sends b until Segment has taken or refused each of its events.
func (s *sending) deliver(b batch) error {
	waits := newWaits()
	for {
		if err := s.ready(len(b)); err != nil {
			return err
		}
		a := s.attempt(s.ctx, b)
		if s.ctx.Err() != nil && a.verdict() == later {
			return context.Cause(s.ctx)
		}
		s.observe(b, &a)
		if done, err := s.digest(b, &a); done || err != nil {
			return err
		}
		if err := s.wait(waits, b, &a); err != nil {
			return err
		}
	}
}

// ready returns once an attempt with so many events may begin. What takes long
// comes first, so that the permission is fresh.
func (s *sending) ready(events int) error {
	if err := s.pace.wait(s.begin, events); err != nil {
		return err
	}
	select {
	case <-s.config.Stop:
		return ErrStopped
	case <-s.halted:
		return s.haltErr
	default:
	}
	if s.config.Permit == nil {
		return nil
	}
	return s.config.Permit()
}

func (s *sending) observe(b batch, a *answer) {
	if s.config.Observe == nil {
		return
	}
	s.config.Observe(Attempt{
		Events:   len(b),
		Status:   a.status,
		Took:     a.received.Sub(a.sent),
		Accepted: a.verdict() == accepted,
		Retry:    a.verdict() == later,
	})
}

// digest does what the answer asks for, but for waiting: done says whether each
// event of b has its outcome. An answer that shows the clock to be wrong still
// counts.
func (s *sending) digest(b batch, a *answer) (done bool, err error) {
	switch a.verdict() {
	case halting:
		return false, s.halt(s.refusedAll(b, a))
	case accepted:
		b.accept()
		s.refusals.clear()
		s.outage.over()
		s.pace.recover()
		done = true
	case later:
		if a.status == http.StatusTooManyRequests {
			s.pace.slow(a.sent)
		}
	}
	if err := s.clock.check(a); err != nil {
		return done, s.halt(err)
	}
	if a.verdict() == suspect {
		return true, s.narrow(b, a)
	}
	return done, nil
}

// narrow finds the bad event in a batch that was refused, by sending its halves.
func (s *sending) narrow(b batch, a *answer) error {
	if len(b) == 1 {
		return s.refuse(b, a)
	}
	half := len(b) / 2
	if err := s.deliver(b[:half]); err != nil {
		return err
	}
	return s.deliver(b[half:])
}

// refuse rejects the one event of b, or halts if Segment seems to refuse
// whatever it is sent.
func (s *sending) refuse(b batch, a *answer) error {
	detail := fmt.Sprintf("Segment answered %s%s", a.statusText(), s.quote(b, a))
	ids, since := s.refusals.add(b[0].event)
	if ids == nil {
		b[0].reject(RefusedBySegment, detail)
		return nil
	}
	return s.halt(&Refused{
		Problem: fmt.Sprintf("send events: Segment refused %d events one after the other; the last: %s", len(ids), detail),
		Advice:  "check destination.segment.endpoint and look at the events with: chatbackfill preview",
		Status:  a.status,
		IDs:     ids,
		Since:   since,
	})
}

// refusedAll describes an answer that no event could have avoided.
func (s *sending) refusedAll(b batch, a *answer) *Refused {
	said := "answered " + a.statusText()
	advice := "check destination.segment.region or endpoint: this is not Segment's tracking API"
	switch {
	case a.status == http.StatusOK && a.isHTML():
		said += " with a web page"
	case a.status == http.StatusOK:
		said += " but denied success"
		advice = "check destination.segment.write_key, and that its workspace is in the region of destination.segment"
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		advice = "check destination.segment.write_key, and that its workspace is in the region of destination.segment"
	case a.location != "":
		said += ", redirecting to " + a.location
	}
	if !a.isHTML() {
		said += s.quote(b, a)
	}
	return &Refused{
		Problem: fmt.Sprintf("send events to %s: Segment %s", s.config.Endpoint, said),
		Advice:  advice,
		Status:  a.status,
	}
}

// maxRefusals is how many events refused singly, with nothing accepted between,
// mean that it is not the events.
const maxRefusals = 20

// refusals are the events that were refused since one was accepted.
type refusals struct {
	mu    sync.Mutex
	ids   []string
	since extract.Time // each of their conversations has a message at or after it
}

// add returns nil, or all the ids if they are too many, with what [Refused] says
// of their conversations.
func (r *refusals) add(e *transform.Event) ([]string, extract.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	began := e.Timestamp.Add(-time.Duration(e.Duration+1) * time.Second) // both are rounded down
	if len(r.ids) == 0 || began < r.since {
		r.since = began
	}
	if r.ids = append(r.ids, e.ID.String()); len(r.ids) < maxRefusals {
		return nil, 0
	}
	return slices.Clone(r.ids), r.since
}

func (r *refusals) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids = nil
}
