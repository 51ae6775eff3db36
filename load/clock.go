package load

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	warnSkew = 2 * time.Second
	maxSkew  = time.Minute
)

// clock compares this machine's clock with Segment's, which moves every event
// by the difference.
type clock struct {
	log    *slog.Logger
	warned sync.Once
}

// check warns once of a clock that is off, and returns an [*Unavailable] when it
// is off by more than a minute.
func (c *clock) check(a *answer) error {
	skew := a.skew()
	if skew.Abs() > maxSkew {
		return &Unavailable{
			Problem: fmt.Sprintf("send events: this machine's clock is %s Segment's, which would move every event by that",
				aheadOrBehind(skew)),
			Advice: "set the clock (NTP), then run again: it goes on where it stopped",
			Status: a.status,
		}
	}
	if skew.Abs() > warnSkew {
		c.warned.Do(func() {
			c.log.Warn("this machine's clock is off: segment moves every event by that", "clock", aheadOrBehind(skew)+" segment's")
		})
	}
	return nil
}

func aheadOrBehind(skew time.Duration) string {
	if skew < 0 {
		return skew.Abs().Round(time.Second).String() + " behind"
	}
	return skew.Round(time.Second).String() + " ahead of"
}

// skew is how much this machine's clock is ahead of the server's, as far as the
// answer proves it: the middle between sending and receiving is compared with
// the middle of the second that the server names, and the server may have
// looked at its clock at any time between sending and receiving.
func (a *answer) skew() time.Duration {
	if a.date.IsZero() {
		return 0
	}
	half := a.received.Sub(a.sent) / 2
	skew := a.sent.Add(half).Sub(a.date.Add(500 * time.Millisecond))
	if skew < 0 {
		return min(0, skew+half)
	}
	return max(0, skew-half)
}
