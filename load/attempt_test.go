package load

import (
	"errors"
	"testing"
)

// That events were accepted is believed only if the client says so of each.
func TestReceipt(t *testing.T) {
	marshal := errors.New("marshal")
	good, bad := answer{status: 200}, answer{status: 503}
	cases := map[string]struct {
		receipt *receipt
		answer  answer
		err     error
		verdict verdict
		status  int
		wantErr error
	}{
		"good and confirmed":      {&receipt{accepted: 2}, good, nil, accepted, 200, nil},
		"good and not confirmed":  {&receipt{}, good, nil, later, 0, errNoOutcome},
		"good, confirmed of one":  {&receipt{accepted: 1, err: marshal}, good, nil, later, 0, marshal},
		"bad":                     {&receipt{err: &bad}, bad, nil, later, 503, nil},
		"bad and nothing said":    {&receipt{}, bad, nil, later, 503, nil},
		"no request was made":     {&receipt{err: marshal}, answer{}, nil, later, 0, marshal},
		"no request, no word":     {&receipt{}, answer{}, nil, later, 0, errNoOutcome},
		"the client took nothing": {&receipt{}, answer{}, marshal, later, 0, marshal},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := c.receipt.endorse(c.answer, 2, c.err)
			if got.verdict() != c.verdict || got.status != c.status || !errors.Is(got.err, c.wantErr) {
				t.Errorf("verdict %d, status %d, error %v; want %d, %d, %v", got.verdict(), got.status, got.err, c.verdict, c.status, c.wantErr)
			}
		})
	}
}
