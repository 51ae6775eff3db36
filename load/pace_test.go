package load

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

func TestPace_HalvesAndRecovers(t *testing.T) {
	var log strings.Builder
	change := func(c *SegmentConfig) { c.Rate, c.Logger = 500, logTo(&log) }
	bubble(t, change, func(t *testing.T, s *segmenttest.Server, d *Segment) {
		s.Fault(segmenttest.Times(2, segmenttest.Throttle("1")))
		if _, err := d.Send(t.Context(), events(3)); err != nil {
			t.Fatal(err)
		}
		if got := d.pace.limiter.Limit(); got != 125+50 {
			t.Errorf("%v events a second after two 429 and one acceptance, want 175", got)
		}
		s.Fault(segmenttest.Times(20, segmenttest.Throttle("1")))
		if _, err := d.Send(t.Context(), events(3)); err != nil {
			t.Fatal(err)
		}
		if got := d.pace.limiter.Limit(); got != 500.0/16+50 {
			t.Errorf("%v events a second after twenty 429 and one acceptance, want a sixteenth of 500 and 50", got)
		}
		for range 9 {
			if _, err := d.Send(t.Context(), events(3)); err != nil {
				t.Fatal(err)
			}
		}
		if got := d.pace.limiter.Limit(); got != 500 {
			t.Errorf("%v events a second, want 500 again", got)
		}
		if n := strings.Count(log.String(), "throttles"); n != 1 {
			t.Errorf("%d warnings of throttling, want 1:\n%s", n, &log)
		}
		if n := strings.Count(log.String(), "full rate again"); n != 1 {
			t.Errorf("%d words of recovery, want 1:\n%s", n, &log)
		}
	})
}

func TestPace_BatchesHaveAtMostASecondsEvents(t *testing.T) {
	for rate, want := range map[float64]int{0: 1000, 0.01: 1, 1: 1, 62.5: 62, 500: 500, 1e9: 1000} {
		if got := newPace(rate, nil).burst; got != want {
			t.Errorf("rate %v has batches of %d, want %d", rate, got, want)
		}
	}
}

// Batches that were in flight together and are all throttled halve it once.
func TestPace_HalvesOncePerRound(t *testing.T) {
	p := newPace(400, slog.New(slog.DiscardHandler))
	began := time.Now()
	for range 4 {
		p.slow(began)
	}
	if got := p.limiter.Limit(); got != 200 {
		t.Errorf("%v events a second, want 200", got)
	}
	p.slow(time.Now())
	if got := p.limiter.Limit(); got != 100 {
		t.Errorf("%v events a second after another round, want 100", got)
	}
	unlimited := newPace(0, slog.New(slog.DiscardHandler))
	unlimited.slow(time.Now())
	if d := unlimited.limiter.ReserveN(time.Now(), maxBatchEvents).Delay(); d != 0 {
		t.Errorf("unlimited waits %s", d)
	}
}
