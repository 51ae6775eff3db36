package load

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReach(t *testing.T) {
	var method, key string
	off := time.Duration(0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method, key = r.Method, r.Header.Get("Authorization")
		w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	if warning, err := Reach(t.Context(), server.URL); warning != "" || err != nil {
		t.Errorf("a server that answers: %q, %v", warning, err)
	}
	if method != http.MethodHead || key != "" {
		t.Errorf("asked with %s and key %q", method, key)
	}
	off = 20 * time.Second
	if warning, err := Reach(t.Context(), server.URL); !strings.Contains(warning, "behind") || err != nil {
		t.Errorf("a clock that is off: %q, %v", warning, err)
	}
	off = -time.Hour
	var unavailable *Unavailable
	if _, err := Reach(t.Context(), server.URL); !errors.As(err, &unavailable) || !strings.Contains(err.Error(), "ahead") {
		t.Errorf("a clock that is far off: %v", err)
	}
	server.Close()
	if _, err := Reach(t.Context(), server.URL); !errors.As(err, &unavailable) {
		t.Errorf("nobody there: %v", err)
	}
	var misconfigured *Misconfigured
	if _, err := Reach(t.Context(), "http://example.com"); !errors.As(err, &misconfigured) {
		t.Errorf("not https: %v", err)
	}
}

func TestCheckPath(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine.ndjson")
	if err := os.WriteFile(mine, []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path  string
		state string
		ok    bool
	}{
		"new file":               {path: filepath.Join(dir, "events.ndjson"), ok: true},
		"new folders":            {path: filepath.Join(dir, "a/b/events.parquet"), ok: true},
		"somebody else's file":   {path: mine},
		"our file":               {path: mine, state: "{}", ok: true},
		"a file as a folder":     {path: filepath.Join(mine, "events.ndjson")},
		"a folder as a file":     {path: dir},
		"a file as Parquet":      {path: mine + ".parquet"},
		"a folder for no reason": {path: "/proc/nowhere/events.ndjson"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "a file as Parquet" {
				if err := os.WriteFile(c.path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if name == "a folder for no reason" {
				c.path = filepath.Join(dir, "closed", "events.ndjson")
				if err := os.Mkdir(filepath.Dir(c.path), 0o500); err != nil {
					t.Fatal(err)
				}
				c.ok = os.Geteuid() == 0 // who may write everywhere
			}
			var state []byte
			if c.state != "" {
				state = []byte(c.state)
			}
			if err := CheckPath(c.path, state); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Error("a folder was created")
	}
}
