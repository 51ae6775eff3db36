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
