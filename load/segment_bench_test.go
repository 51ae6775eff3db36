package load

import (
	"testing"
	"time"

	analytics "github.com/segmentio/analytics-go/v3"

	"github.com/chatbackfill/chatbackfill/load/segmenttest"
	"github.com/chatbackfill/chatbackfill/transform"
)

// BenchmarkSend compares Send with analytics-go as one would use it without
// this package: the same events, enqueued into one client that is then closed.
// The ratio is Send's events per second over the client's.
func BenchmarkSend(b *testing.B) {
	const n = 20_000
	s := segmenttest.NewCounting(b)
	sent := events(n)
	d := openSegment(b, s, nil)
	var bare, ours time.Duration
	for b.Loop() {
		bare += timed(func() { enqueueAll(b, s.URL, sent) })
		ours += timed(func() { sendChunks(b, d, sent) })
	}
	if got, want := s.Events(), 2*n*b.N; got != want {
		b.Fatalf("the server counted %d events, want %d", got, want)
	}
	b.ReportMetric(float64(n*b.N)/bare.Seconds(), "bare-events/s")
	b.ReportMetric(float64(n*b.N)/ours.Seconds(), "events/s")
	b.ReportMetric(bare.Seconds()/ours.Seconds(), "ratio")
}

func timed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func enqueueAll(b *testing.B, url string, events []*transform.Event) {
	client, err := analytics.NewWithConfig(canaryKey, analytics.Config{Endpoint: url, Logger: silent{}})
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range events {
		if err := client.Enqueue(Track(e)); err != nil {
			b.Fatal(err)
		}
	}
	if err := client.Close(); err != nil {
		b.Fatal(err)
	}
}

func sendChunks(b *testing.B, d *Segment, events []*transform.Event) {
	for start := 0; start < len(events); start += 5000 {
		delivery, err := d.Send(b.Context(), events[start:start+5000])
		if err != nil || !allDone(delivery.Outcomes) {
			b.Fatal(err)
		}
	}
}
