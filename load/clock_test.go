package load

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

func TestClock(t *testing.T) {
	cases := map[string]struct {
		skew time.Duration
		warn bool
		stop bool
	}{
		"right":            {0, false, false},
		"a second off":     {-time.Second, false, false},
		"four seconds off": {-4 * time.Second, true, false},
		"four ahead":       {5 * time.Second, true, false},
		"an hour ahead":    {-time.Hour, false, true},
		"an hour behind":   {time.Hour, false, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				s := segmenttest.NewPipe(t)
				d := openPiped(t, s, func(c *SegmentConfig) { c.Logger = logTo(&log) })
				s.Fault(func(segmenttest.Request) segmenttest.Answer { return segmenttest.Skew(c.skew) })
				sent := events(30)
				delivery, err := d.Send(t.Context(), sent)
				if c.stop {
					var unavailable *Unavailable
					if !errors.As(err, &unavailable) || !strings.Contains(err.Error(), "clock is 1h0m") {
						t.Fatalf("error %v, want *Unavailable", err)
					}
					wantOutcomes(t, delivery, "a1 -29")
					wantAccepted(t, s, sent[:1])
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if n := strings.Count(log.String(), "clock is off"); n > 1 || (n == 1) != c.warn {
					t.Errorf("%d warnings, want %t:\n%s", n, c.warn, &log)
				}
			})
		})
	}
}

// A server that thinks for long before it looks at its clock shows nothing of
// ours.
func TestClock_SlowAnswerProvesNothing(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	a := answer{sent: now, received: now.Add(40 * time.Second), date: now.Add(39 * time.Second)}
	if skew := a.skew(); skew != 0 {
		t.Errorf("skew %s, want none proven", skew)
	}
	a.date = now.Add(100 * time.Second)
	if skew := a.skew(); skew != -60*time.Second-500*time.Millisecond {
		t.Errorf("skew %s, want a minute behind", skew)
	}
}
