package load

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// pace holds the events of all batches to a rate. It halves when Segment says
// that it is too much, down to a sixteenth, and comes back with every batch that
// is accepted.
type pace struct {
	log     *slog.Logger
	burst   int        // see batchEvents
	full    rate.Limit // events a second
	limiter *rate.Limiter

	mu     sync.Mutex
	slowed time.Time // when it was last halved
}

func newPace(eventsPerSecond float64, log *slog.Logger) *pace {
	p := &pace{log: log, burst: batchEvents(eventsPerSecond), full: rate.Inf}
	if eventsPerSecond > 0 {
		p.full = rate.Limit(eventsPerSecond)
	}
	p.limiter = rate.NewLimiter(p.full, p.burst)
	return p
}

// batchEvents is how many events a request carries at most: those of a second.
func batchEvents(eventsPerSecond float64) int {
	if eventsPerSecond <= 0 {
		return maxBatchEvents
	}
	return max(1, int(min(maxBatchEvents, eventsPerSecond)))
}

// wait returns when so many events may be sent, or with the cause when ctx ends
// before. They are at most p.burst.
func (p *pace) wait(ctx context.Context, events int) error {
	reservation := p.limiter.ReserveN(time.Now(), events)
	err := sleep(ctx, reservation.Delay())
	if err != nil {
		reservation.Cancel()
	}
	return err
}

// slow halves the rate, because of an attempt begun at that time. Attempts that
// were under way when it was halved do not halve it again.
func (p *pace) slow(sent time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full == rate.Inf || sent.Before(p.slowed) {
		return
	}
	p.slowed = time.Now()
	was := p.limiter.Limit()
	p.limiter.SetLimit(max(was/2, p.full/16))
	if was == p.full {
		p.log.Warn("segment throttles, sending slower", "events_per_second", float64(p.limiter.Limit()))
	}
}

// recover gives back a tenth of the full rate.
func (p *pace) recover() {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.limiter.Limit()
	if was >= p.full {
		return
	}
	p.limiter.SetLimit(min(was+p.full/10, p.full))
	if p.limiter.Limit() >= p.full {
		p.log.Info("sending at the full rate again", "events_per_second", float64(p.full))
	}
}
