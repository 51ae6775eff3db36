package load

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// newWaits returns the waits between the attempts of one batch: each is random
// between nothing and a limit that doubles from half a second to a minute.
func newWaits() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     250 * time.Millisecond, // ± all of it: 0 to 0.5 s
		RandomizationFactor: 1,
		Multiplier:          2,
		MaxInterval:         30 * time.Second,
	}
}

// wait waits before b is sent again, as long as the answer asks for or else as
// long as is next in waits. When nothing has been accepted for too long, or the
// answer asks for more time than is left, it halts.
func (s *sending) wait(waits *backoff.ExponentialBackOff, b batch, a *answer) error {
	left, first := s.outage.goesOn(a.sent)
	if first {
		s.log.Warn("segment accepts nothing now, trying again", "answer", s.describe(b, a), "for", s.config.RetryFor)
	}
	d, asked := a.askedWait()
	if !asked {
		d = min(waits.NextBackOff(), left)
	}
	if left <= 0 || d > left {
		return s.halt(s.unavailable(b, a))
	}
	return sleep(s.begin, d)
}

func (s *sending) unavailable(b batch, a *answer) *Unavailable {
	return &Unavailable{
		Problem: fmt.Sprintf("send events to %s: nothing was accepted for %s; the last attempt: %s",
			s.config.Endpoint, s.outage.lasted().Round(time.Second), s.describe(b, a)),
		Advice: "run again later: it goes on where it stopped. See https://status.segment.com, and the network if there was no answer",
		Status: a.status,
		After:  s.outage.lasted(),
	}
}

func (s *sending) describe(b batch, a *answer) string {
	if a.status == 0 {
		return "no answer" + s.quote(b, a)
	}
	said := "answer " + a.statusText()
	if d, asked := a.askedWait(); asked {
		said += ", asking to wait " + d.String()
	}
	return said + s.quote(b, a)
}

// sleep waits for d, and returns the cause if ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// outage is the time since when nothing has been accepted although it was
// tried, over all batches.
type outage struct {
	limit time.Duration
	log   *slog.Logger
	mu    sync.Mutex
	since time.Time // zero: there is no outage
}

// goesOn notes that an attempt begun at that time failed. It returns how long
// one may go on trying, and whether the outage begins with it.
func (o *outage) goesOn(sent time.Time) (left time.Duration, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if first = o.since.IsZero(); first {
		o.since = sent
	}
	return o.limit - time.Since(o.since), first
}

// over notes that a batch was accepted.
func (o *outage) over() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		o.log.Info("segment accepts events again", "after", time.Since(o.since).Round(time.Millisecond))
		o.since = time.Time{}
	}
}

func (o *outage) lasted() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Since(o.since)
}
