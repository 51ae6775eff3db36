package load

import (
	"testing"
	"testing/synctest"

	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// TestForecast compares a forecast with what is sent.
func TestForecast(t *testing.T) {
	for _, rate := range []float64{0, 0.5, 7, 250} {
		synctest.Test(t, func(t *testing.T) {
			s := segmenttest.NewPipe(t)
			d := openPiped(t, s, func(c *SegmentConfig) { c.Rate = rate })
			forecast := Forecast{Rate: rate}
			for _, n := range []int{1, 501, 0, 8} {
				all := events(n)
				if _, err := d.Send(t.Context(), all); err != nil {
					t.Fatal(err)
				}
				forecast.Add(all)
			}
			if sent := len(s.Requests()); forecast.Requests != sent {
				t.Errorf("at %g events a second: %d requests forecast, %d sent", rate, forecast.Requests, sent)
			}
		})
	}
}
