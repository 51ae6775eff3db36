package load

import (
	"context"
	"errors"
	"sync"
	"time"

	analytics "github.com/segmentio/analytics-go/v3"
)

// errNoOutcome stands for a client that ended without saying what became of its
// messages.
var errNoOutcome = errors.New("analytics-go reported no outcome")

// attempt sends b in one request and returns what Segment answered.
//
// It makes a client for this one batch: closing it flushes, waits for the
// answer, and ends the client's own retries, so that it makes exactly one
// request. The answer is taken from the transport and not from the client's
// errors, which lose it when it took longer than ten seconds; that the events
// were accepted, though, is believed only if the client says so of each one.
func (d *Segment) attempt(ctx context.Context, b batch) answer {
	began := time.Now()
	exchange := &exchange{ctx: ctx, transport: d.transport, answer: answer{sent: began, received: began}}
	receipt := &receipt{}
	client, err := analytics.NewWithConfig(d.config.WriteKey, analytics.Config{
		Endpoint:   d.config.Endpoint,
		Transport:  exchange,
		Callback:   receipt,
		BatchSize:  len(b) + 1,
		Interval:   time.Hour,
		RetryAfter: func(int) time.Duration { return time.Hour },
		Logger:     silent{},
	})
	if err != nil {
		return answer{err: err, sent: began, received: began}
	}
	for _, it := range b {
		if err = client.Enqueue(Track(it.event)); err != nil {
			break
		}
	}
	if closed := client.Close(); err == nil {
		err = closed
	}
	return receipt.endorse(exchange.answer, len(b), err)
}

// receipt counts what a client reports of its messages.
type receipt struct {
	mu       sync.Mutex
	accepted int
	err      error
}

// Success implements [analytics.Callback].
func (r *receipt) Success(analytics.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepted++
}

// Failure implements [analytics.Callback].
func (r *receipt) Failure(_ analytics.Message, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// endorse returns the answer a to a batch of n events, unless it is good and
// the client does not confirm it for every event, or there is none at all: then
// the batch counts as not sent.
func (r *receipt) endorse(a answer, n int, err error) answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	answered := a.status != 0 || a.err != nil
	if answered && (a.verdict() != accepted || r.accepted == n) {
		return a
	}
	for _, e := range []error{err, r.err, errNoOutcome} {
		if e != nil {
			a.status, a.err = 0, e
			break
		}
	}
	return a
}

// silent is a logger for analytics-go, which logs whole messages.
type silent struct{}

// Logf implements [analytics.Logger].
func (silent) Logf(string, ...any) {}

// Errorf implements [analytics.Logger].
func (silent) Errorf(string, ...any) {}
