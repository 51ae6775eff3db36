package load

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// bubble runs a test in fake time, with a server in memory that has already
// accepted one event.
func bubble(t *testing.T, change func(*SegmentConfig), test func(*testing.T, *segmenttest.Server, *Segment)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := segmenttest.NewPipe(t)
		d := openPiped(t, s, change)
		if _, err := d.Send(t.Context(), events(1)); err != nil {
			t.Fatal(err)
		}
		test(t, s, d)
	})
}

// A retry carries the same ids and a new time of sending.
func TestRetry_SentAtIsFresh(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *segmenttest.Server, d *Segment) {
		s.Fault(segmenttest.Times(5, segmenttest.Throttle("30")))
		sent := events(4)
		if _, err := d.Send(t.Context(), sent); err != nil {
			t.Fatal(err)
		}
		requests := s.Requests()[1:]
		if len(requests) != 6 {
			t.Fatalf("%d requests, want 6", len(requests))
		}
		for _, r := range requests {
			if !slices.Equal(r.IDs, requests[0].IDs) {
				t.Errorf("request %d has other ids", r.N)
			}
			if age := r.Received.Sub(r.SentAt); age != 0 {
				t.Errorf("request %d says it was sent %s before it was", r.N, age)
			}
		}
		if took := requests[5].Received.Sub(requests[0].Received); took != 150*time.Second {
			t.Errorf("five waits of 30 s took %s", took)
		}
	})
}

// The pace is waited for before the request is made.
func TestRetry_SentAtIsFreshWhenPaced(t *testing.T) {
	change := func(c *SegmentConfig) { c.Rate = 10 }
	bubble(t, change, func(t *testing.T, s *segmenttest.Server, d *Segment) {
		began := time.Now()
		if _, err := d.Send(t.Context(), events(500)); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Requests() {
			if age := r.Received.Sub(r.SentAt); age != 0 {
				t.Errorf("request %d says it was sent %s before it was", r.N, age)
			}
		}
		// The first ten are the burst.
		if took := time.Since(began).Round(time.Second); took != 49*time.Second {
			t.Errorf("500 events at 10 a second took %s, want 49 s after the burst", took)
		}
	})
}

func TestRetry_RetryAfter(t *testing.T) {
	cases := map[string]struct {
		header   string
		min, max time.Duration
	}{
		"zero":         {"0", 500 * time.Millisecond, 500 * time.Millisecond},
		"seconds":      {"5", 5 * time.Second, 5 * time.Second},
		"an hour":      {"3600", 5 * time.Minute, 5 * time.Minute},
		"a date":       {"Sat, 01 Jan 2000 00:00:17 GMT", 17 * time.Second, 17 * time.Second},
		"a past date":  {"Fri, 31 Dec 1999 00:00:00 GMT", 500 * time.Millisecond, 500 * time.Millisecond},
		"a far date":   {"Sat, 01 Jan 2022 00:00:00 GMT", 5 * time.Minute, 5 * time.Minute},
		"negative":     {"-5", 0, 500 * time.Millisecond},
		"a fraction":   {"1.5", 0, 500 * time.Millisecond},
		"too large":    {"99999999999999999999", 0, 500 * time.Millisecond},
		"garbage":      {"soon", 0, 500 * time.Millisecond},
		"not a header": {"", 0, 500 * time.Millisecond},
	}
	for name, c := range cases {
		for _, status := range []int{429, 503, 529, 408} {
			t.Run(name+" "+statusName(status), func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, s *segmenttest.Server, d *Segment) {
					s.Fault(segmenttest.Times(1, segmenttest.Retry(status, c.header)))
					began := time.Now()
					if _, err := d.Send(t.Context(), events(3)); err != nil {
						t.Fatal(err)
					}
					if waited := time.Since(began); waited < c.min || waited > c.max {
						t.Errorf("waited %s, want %s to %s", waited, c.min, c.max)
					}
				})
			})
		}
	}
}

// A wait that was asked for is no attempt: the next one of our own is as short
// as the first.
func TestRetry_RetryAfterIsNoAttempt(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *segmenttest.Server, d *Segment) {
		n := 0
		s.Fault(func(segmenttest.Request) segmenttest.Answer {
			switch n++; {
			case n <= 10:
				return segmenttest.Throttle("10")
			case n == 11:
				return segmenttest.Status(503)
			}
			return segmenttest.Answer{}
		})
		began := time.Now()
		if _, err := d.Send(t.Context(), events(3)); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited > 100*time.Second+500*time.Millisecond {
			t.Errorf("waited %s, want ten times 10 s and at most 0.5 s", waited)
		}
	})
}

func TestRetry_WaitsDouble(t *testing.T) {
	waits := newWaits()
	limit := 500 * time.Millisecond
	for i := range 12 {
		if d := waits.NextBackOff(); d < 0 || d > limit+1 {
			t.Errorf("wait %d is %s, want up to %s", i, d, limit)
		}
		limit = min(2*limit, time.Minute)
	}
}

func TestRetry_ErrUnavailable(t *testing.T) {
	var log strings.Builder
	change := func(c *SegmentConfig) { c.Logger = logTo(&log) }
	bubble(t, change, func(t *testing.T, s *segmenttest.Server, d *Segment) {
		s.Fault(segmenttest.Always(segmenttest.Status(503)))
		time.Sleep(time.Hour) // nothing was tried: that is no outage
		began := time.Now()
		delivery, err := d.Send(t.Context(), events(3))
		var unavailable *Unavailable
		if !errors.As(err, &unavailable) || unavailable.Status != 503 || unavailable.After < 30*time.Minute || unavailable.Try() == "" {
			t.Fatalf("error %v, want *Unavailable", err)
		}
		if took := time.Since(began); took != 30*time.Minute {
			t.Errorf("gave up after %s, want 30m", took)
		}
		wantOutcomes(t, delivery, "-3")
		wantNoCanary(t, err.Error(), log.String())
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, &log)
		}
		s.Fault(nil)
		if _, again := d.Send(t.Context(), events(3)); again != err {
			t.Errorf("another Send: %v, want the same error", again)
		}
	})
}

// What one batch has accepted counts for all.
func TestRetry_OK_OutageEndsWithAnyAcceptance(t *testing.T) {
	var log strings.Builder
	change := func(c *SegmentConfig) { c.Logger = logTo(&log) }
	bubble(t, change, func(t *testing.T, s *segmenttest.Server, d *Segment) {
		sent := events(4)
		bad := sent[0].ID.String()
		until := time.Now().Add(40 * time.Minute)
		s.Fault(func(r segmenttest.Request) segmenttest.Answer {
			if r.Has(bad) && time.Now().Before(until) {
				return segmenttest.Status(503)
			}
			return segmenttest.Answer{}
		})
		result := make(chan error, 1)
		go func() {
			_, err := d.Send(t.Context(), sent[:1])
			result <- err
		}()
		time.Sleep(25 * time.Minute)
		if _, err := d.Send(t.Context(), sent[1:]); err != nil {
			t.Fatal(err)
		}
		if err := <-result; err != nil {
			t.Errorf("error %v, although something was accepted after 25 minutes", err)
		}
		if !strings.Contains(log.String(), "segment accepts events again") {
			t.Errorf("log has no word of the recovery:\n%s", &log)
		}
	})
}

func TestRetry_StopEndsWaits(t *testing.T) {
	for name, fault := range map[string]segmenttest.Answer{
		"backoff":     segmenttest.Status(503),
		"retry-after": segmenttest.Throttle("300"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stop := make(chan struct{})
				s := segmenttest.NewPipe(t)
				d := openPiped(t, s, func(c *SegmentConfig) { c.Stop = stop })
				s.Fault(segmenttest.Always(fault))
				time.AfterFunc(2*time.Second, func() { close(stop) })
				began := time.Now()
				delivery, err := d.Send(t.Context(), events(2000))
				if err != ErrStopped || time.Since(began) != 2*time.Second {
					t.Errorf("error %v after %s, want ErrStopped after 2s", err, time.Since(began))
				}
				wantOutcomes(t, delivery, "-2000")
				requests := len(s.Requests())
				for range 10 {
					if _, err := d.Send(t.Context(), events(1)); err != ErrStopped {
						t.Errorf("another Send: %v, want ErrStopped", err)
					}
				}
				if n := len(s.Requests()) - requests; n != 0 {
					t.Errorf("%d attempts began after the stop", n)
				}
			})
		})
	}
}

func TestRetry_StopEndsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		s := segmenttest.NewPipe(t)
		d := openPiped(t, s, func(c *SegmentConfig) { c.Stop, c.Rate = stop, 10 })
		time.AfterFunc(500*time.Millisecond, func() { close(stop) })
		delivery, err := d.Send(t.Context(), events(1000))
		if err != ErrStopped {
			t.Errorf("error %v, want ErrStopped", err)
		}
		if n := s.Events(); n != 1+9 && n != 1+10 {
			t.Errorf("%d events accepted before the second batch was due, want 1 and the first one", n)
		}
		accepted := 0
		for _, o := range delivery.Outcomes {
			if o.Accepted {
				accepted++
			}
		}
		if accepted != s.Events() {
			t.Errorf("%d outcomes, %d accepted", accepted, s.Events())
		}
	})
}

// What is under way when the run is stopped ends and counts.
func TestRetry_StopLetsAttemptsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		s := segmenttest.NewPipe(t)
		d := openPiped(t, s, func(c *SegmentConfig) { c.Stop, c.Concurrency = stop, 1 })
		if _, err := d.Send(t.Context(), events(1)); err != nil {
			t.Fatal(err)
		}
		s.Fault(segmenttest.Always(segmenttest.Answer{After: 10 * time.Second}))
		time.AfterFunc(5*time.Second, func() { close(stop) })
		delivery, err := d.Send(t.Context(), events(1000))
		if err != nil {
			t.Errorf("error %v, although everything was accepted", err)
		}
		wantOutcomes(t, delivery, "a1000")
	})
}

// An answer may take longer than the ten seconds that analytics-go allows for,
// and its Retry-After still counts.
func TestRetry_SlowAnswers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *segmenttest.Server, d *Segment) {
		slow := segmenttest.Throttle("100")
		slow.After = 25 * time.Second
		s.Fault(func(r segmenttest.Request) segmenttest.Answer {
			if r.N == 2 {
				return slow
			}
			return segmenttest.Answer{After: 25 * time.Second}
		})
		began := time.Now()
		delivery, err := d.Send(t.Context(), events(3))
		if err != nil {
			t.Fatal(err)
		}
		wantOutcomes(t, delivery, "a3")
		if took := time.Since(began); took != 150*time.Second {
			t.Errorf("took %s, want 25 s, a wait of 100 s, and 25 s", took)
		}
		if dup := s.Duplicates(); len(dup) != 1 { // the first event, of the bubble's beginning
			t.Errorf("duplicates %v", dup)
		}
	})
}

func TestRetry_NoAnswer(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *segmenttest.Server, d *Segment) {
		s.Fault(segmenttest.Times(2, segmenttest.Answer{Never: true}))
		began := time.Now()
		delivery, err := d.Send(t.Context(), events(3))
		if err != nil {
			t.Fatal(err)
		}
		wantOutcomes(t, delivery, "a3")
		if took := time.Since(began); took < 60*time.Second || took > 62*time.Second {
			t.Errorf("took %s, want two times 30 s and two short waits", took)
		}
	})
}

// There is no point in waiting for an attempt that would be too late.
func TestRetry_ErrAskedToWaitTooLong(t *testing.T) {
	change := func(c *SegmentConfig) { c.RetryFor = time.Minute }
	bubble(t, change, func(t *testing.T, s *segmenttest.Server, d *Segment) {
		s.Fault(segmenttest.Always(segmenttest.Throttle("120")))
		began := time.Now()
		_, err := d.Send(t.Context(), events(3))
		var unavailable *Unavailable
		if !errors.As(err, &unavailable) || !strings.Contains(err.Error(), "asking to wait 2m0s") || time.Since(began) != 0 {
			t.Errorf("error %v after %s, want *Unavailable at once", err, time.Since(began))
		}
	})
}
