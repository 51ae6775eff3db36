package load

import (
	"io"
	"net/http"
	"slices"
	"testing"
)

func TestAnswer_Verdicts(t *testing.T) {
	for code := 200; code < 700; code++ {
		a := answer{status: code}
		want := halting
		switch {
		case code == 200:
			want = accepted
		case code == 400 || code == 413:
			want = suspect
		case slices.Contains([]int{408, 410, 429, 460}, code):
			want = later
		case code >= 500 && code < 600 && code != 501 && code != 505:
			want = later
		}
		if got := a.verdict(); got != want {
			t.Errorf("%d %s: verdict %d, want %d", code, http.StatusText(code), got, want)
		}
	}
	broken := answer{status: http.StatusOK, err: io.ErrUnexpectedEOF}
	if got := broken.verdict(); got != later {
		t.Errorf("a good answer that broke off: verdict %d, want %d", got, later)
	}
}

// FuzzRetryAfter: whatever an answer asks for, the wait is within the limits, or
// there is none.
func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"0", "5", "3600", "-1", "1e3", "", " 7", "99999999999999999999", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 9999 07:28:00 GMT", "Wednesday, 21-Oct-15 07:28:00 GMT"} {
		f.Add(text, "Wed, 21 Oct 2015 07:27:00 GMT")
	}
	f.Fuzz(func(t *testing.T, retryAfter, date string) {
		a := answerOf(&http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {retryAfter}, "Date": {date}}})
		if d, asked := a.askedWait(); asked && (d < minRetryAfter || d > maxRetryAfter) || !asked && d != 0 {
			t.Errorf("Retry-After %q at %q: wait %s (%t)", retryAfter, date, d, asked)
		}
	})
}
