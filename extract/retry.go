package extract

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// retryPolicy is how long a failing read is tried again.
type retryPolicy struct {
	first, most time.Duration // waits
	budget      time.Duration // since the first failure
}

var defaultRetry = retryPolicy{first: 250 * time.Millisecond, most: 15 * time.Second, budget: 5 * time.Minute}

// retry does what may fail for a while until it succeeds, fails with an error
// that does not pass, or has failed for longer than the policy allows. It must
// be safe to do again. The error is that of the last attempt, or why ctx ended.
func (p retryPolicy) retry(ctx context.Context, passes func(error) bool, notify backoff.Notify, do func() error) error {
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = p.first, p.most
	var failing time.Time
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := do()
		switch {
		case err == nil:
			return struct{}{}, nil
		case ctx.Err() != nil:
			return struct{}{}, backoff.Permanent(context.Cause(ctx))
		case !passes(err):
			return struct{}{}, backoff.Permanent(err)
		case failing.IsZero():
			failing = time.Now()
		case time.Since(failing) > p.budget:
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(0), backoff.WithNotify(notify))
	return err
}
