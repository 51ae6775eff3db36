package segmenttest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func post(t *testing.T, s *Server, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/batch", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("key", "")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func batchOf(n int, field string) string {
	var b strings.Builder
	b.WriteString(`{"sentAt":"2026-01-02T03:04:05Z","batch":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"track","messageId":"m%d","event":"e",%s}`, i, field)
	}
	b.WriteString("]}")
	return b.String()
}

func TestServer_AsDocumented(t *testing.T) {
	user := `"userId":"u"`
	for name, c := range map[string]struct {
		body              string
		status            int
		accepted, dropped int
	}{
		"good":             {batchOf(3, user), 200, 3, 0},
		"no identity":      {batchOf(3, `"x":1`), 200, 0, 3},
		"bad JSON":         {`{"batch":[`, 400, 0, 0},
		"large event":      {batchOf(1, `"userId":"`+strings.Repeat("u", 32_000)+`"`), 400, 0, 0},
		"large request":    {batchOf(20, `"userId":"`+strings.Repeat("u", 25_000)+`"`), 400, 0, 0},
		"too many of them": {batchOf(2501, user), 200, 0, 2501},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(t)
			if status, text := post(t, s, c.body); status != c.status {
				t.Errorf("status %d %s, want %d", status, text, c.status)
			}
			if a, d := len(s.Accepted()), len(s.Dropped()); a != c.accepted || d != c.dropped {
				t.Errorf("accepted %d, dropped %d; want %d, %d", a, d, c.accepted, c.dropped)
			}
		})
	}
}

func TestServer_Records(t *testing.T) {
	s := New(t)
	s.RequireKey("other")
	if status, _ := post(t, s, batchOf(1, `"userId":"u"`)); status != 401 {
		t.Errorf("status %d with a wrong key, want 401", status)
	}
	s.RequireKey("key")
	s.CutNext(1)
	s.Fault(Times(1, LoseAnswer()))
	for i, want := range []int{0, 0, 200} {
		if status, _ := post(t, s, batchOf(2, `"userId":"u"`)); status != want {
			t.Errorf("request %d: status %d, want %d", i, status, want)
		}
	}
	if got := s.IDs(); !slices.Equal(got, []string{"m0", "m1"}) || !slices.Equal(s.Duplicates(), got) || s.Events() != 4 {
		t.Errorf("accepted %v, duplicates %v, %d in all", got, s.Duplicates(), s.Events())
	}
	if e := s.Accepted()["m1"]; e.Times() != 2 || e.SentAt[0].Year() != 2026 || !strings.Contains(string(e.JSON), `"m1"`) {
		t.Errorf("recorded %+v", e)
	}
	if n := len(s.Requests()); n != 3 {
		t.Errorf("%d requests were read, want 3", n)
	}
	s.Fault(Poison("m1"))
	if status, _ := post(t, s, batchOf(2, `"userId":"u"`)); status != 400 {
		t.Errorf("status %d with the poisoned event, want 400", status)
	}
	if status, _ := post(t, s, batchOf(1, `"userId":"u"`)); status != 200 {
		t.Errorf("status %d without the poisoned event, want 200", status)
	}
}
