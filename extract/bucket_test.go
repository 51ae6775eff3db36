package extract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// fakeStore is an S3 store on the loopback, before which faults can be put.
type fakeStore struct {
	t       *testing.T
	backend gofakes3.Backend
	url     string
	fault   atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler)]
	asked   atomic.Int64
}

func newStoreS3(t *testing.T) *fakeStore {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1",
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	s := &fakeStore{t: t, backend: s3mem.New(s3mem.WithTimeSource(gofakes3.FixedTimeSource(testNow)))}
	if err := s.backend.CreateBucket("exports"); err != nil {
		t.Fatal(err)
	}
	handler := gofakes3.New(s.backend).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if f := s.fault.Load(); f != nil {
			(*f)(w, r, handler)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *fakeStore) put(key string, data []byte) {
	s.t.Helper()
	if _, err := s.backend.PutObject("exports", key, map[string]string{"Last-Modified": testNow.Format(http.TimeFormat)}, bytes.NewReader(data), int64(len(data)), nil); err != nil {
		s.t.Fatal(err)
	}
}

func (s *fakeStore) breakWith(f func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	s.fault.Store(&f)
}

func (s *fakeStore) at(pattern string) string {
	return "s3://exports/" + pattern + "?endpoint=" + url.QueryEscape(s.url) + "&use_path_style=true"
}

// patient is the policy of tests in which what fails succeeds in the end.
var patient = retryPolicy{first: time.Millisecond, most: 20 * time.Millisecond, budget: time.Hour}

func (s *fakeStore) config(dir string, patterns ...string) ParquetConfig {
	for i := range patterns {
		patterns[i] = s.at(patterns[i])
	}
	cfg := testConfig(dir, patterns...)
	cfg.policy = patient
	return cfg
}

// export is a file of several blocks with some conversations.
func export(t *testing.T, rows int) []byte {
	t.Helper()
	var all []genRow
	for i := range rows {
		id := fmt.Sprint("c", i%7)
		body := strings.Repeat(fmt.Sprint(i*7919, " "), 300)
		all = append(all, genRow{&id, fmt.Sprint(i), "2024-03-01", "customer", "message", "u", body})
	}
	encoded, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.parquet")
	writeParquet(t, path, plainFields, string(encoded), int64(rows/3))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readBucket(cfg ParquetConfig) ([]rendered, error) {
	p, err := OpenParquet(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	all, err := tryTranscripts(p, "")
	return renderAll(all), errors.Join(err, p.Close())
}

// isPart tells requests for parts of objects from those for lists.
func isPart(r *http.Request) bool { return r.Header.Get("Range") != "" }

func TestBucketSameAsLocal(t *testing.T) {
	s, dir := newStoreS3(t), t.TempDir()
	data := export(t, 2400)
	if len(data) < 2*blockSize {
		t.Fatalf("the file has %d bytes only", len(data))
	}
	name := "über uns/day=1/a b+c%20.parquet"
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
		t.Fatal(err)
	}
	s.put(name, data)
	want, err := readBucket(testConfig(dir, "über uns"))
	if err != nil {
		t.Fatal(err)
	}
	s.breakWith(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isPart(r) && !strings.HasPrefix(r.Header.Get("If-Match"), `"`) {
			t.Errorf("a part is asked for without its version: %q", r.Header.Get("If-Match"))
		}
		next.ServeHTTP(w, r)
	})
	for _, pattern := range []string{"", "über uns", "über uns/", name, "über*/**/*.parquet", "*/day=?"} {
		got, err := readBucket(s.config(dir, pattern))
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", pattern, d[:min(len(d), 500)])
		}
	}
}

func TestBucketFaults(t *testing.T) {
	s, dir := newStoreS3(t), t.TempDir()
	data := export(t, 2400)
	s.put("m.parquet", data)
	want, err := readBucket(s.config(dir, "m.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	type handler = func(w http.ResponseWriter, r *http.Request, next http.Handler)
	some := func(n int64, broken handler) handler { // every part fails n times
		var mu sync.Mutex
		seen := map[string]int64{}
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			mu.Lock()
			seen[r.Header.Get("Range")]++
			times := seen[r.Header.Get("Range")]
			mu.Unlock()
			if !isPart(r) || times > n {
				next.ServeHTTP(w, r)
				return
			}
			broken(w, r, next)
		}
	}
	answer := func(status int, code string) handler {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>told so</Message></Error>", code)
		}
	}
	edited := func(edit func(rec *httptest.ResponseRecorder) (body []byte, announced int)) handler {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			body, announced := edit(rec)
			for name, values := range rec.Header() {
				w.Header()[name] = values
			}
			w.Header().Set("Content-Length", fmt.Sprint(announced))
			w.WriteHeader(rec.Code)
			w.Write(body) //nolint:errcheck // the client may be gone
		}
	}
	short := edited(func(rec *httptest.ResponseRecorder) ([]byte, int) {
		all := rec.Body.Bytes()
		return all[:len(all)/2], len(all)
	})
	shortAsAnnounced := edited(func(rec *httptest.ResponseRecorder) ([]byte, int) {
		all := rec.Body.Bytes()
		return all[:len(all)/2], len(all) / 2
	})
	whole := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Last-Modified", testNow.Format(http.TimeFormat))
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data) //nolint:errcheck // the client may be gone
	}
	otherETag := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		edited(func(rec *httptest.ResponseRecorder) ([]byte, int) {
			rec.Header().Set("ETag", `"other"`)
			return rec.Body.Bytes(), rec.Body.Len()
		})(w, r, next)
	}
	reset := func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
	var changed *ChangedError
	var file *FileError
	var down *SourceUnavailable
	for _, c := range []struct {
		name   string
		broken handler
		as     any // the error
		says   string
	}{
		{"OK short once", some(1, short), nil, ""},
		{"OK short as announced once", some(1, shortAsAnnounced), nil, ""},
		{"OK busy three times", some(3, answer(503, "SlowDown")), nil, ""},
		{"OK reset twice", some(2, reset), nil, ""},
		{"OK too many requests", some(1, answer(429, "TooManyRequests")), nil, ""},
		{"Err always short", some(1e6, short), &down, "s3://exports/m.parquet"},
		{"Err always short as announced", some(1e6, shortAsAnnounced), &down, "s3://exports/m.parquet"},
		{"Err always busy", some(1e6, answer(503, "SlowDown")), &down, "its store answered 503 SlowDown: told so"},
		{"Err forbidden", some(1, answer(403, "AccessDenied")), &file, "read s3://exports/m.parquet: its store answered 403 AccessDenied: told so"},
		{"Err gone", some(1, answer(404, "NoSuchKey")), &changed, "m.parquet"},
		{"Err other version", some(1, answer(412, "PreconditionFailed")), &changed, "m.parquet"},
		{"Err shorter", some(1, answer(416, "InvalidRange")), &changed, "m.parquet"},
		{"Err other ETag", some(1, otherETag), &changed, "m.parquet"},
		{"Err no ranges", some(1e6, whole), &file, "its store answered with other bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.breakWith(c.broken)
			cfg := s.config(dir, "m.parquet")
			if c.as == &down {
				cfg.policy.budget = 1
			}
			got, err := readBucket(cfg)
			switch {
			case c.says == "":
				if d := cmp.Diff(want, got); err != nil || d != "" {
					t.Errorf("%v %s", err, d[:min(len(d), 500)])
				}
			case err == nil || !strings.Contains(err.Error(), c.says):
				t.Errorf("got error %v, want one that says %q", err, c.says)
			case c.as != nil && !errors.As(err, c.as):
				t.Errorf("got error %T %v, want a %T", err, err, c.as)
			case strings.Contains(err.Error(), s.url):
				t.Errorf("the request is told: %v", err)
			}
		})
	}
}

// TestBucketChanges writes another version between footer and rows.
func TestBucketChanges(t *testing.T) {
	s, dir := newStoreS3(t), t.TempDir()
	s.put("m.parquet", export(t, 2400))
	cfg := s.config(dir, "m.parquet")
	p := mustOpen(t, cfg)
	defer p.Close()
	version := p.Version()
	s.put("m.parquet", export(t, 2401))
	if _, err := tryTranscripts(p, ""); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v", err)
	}
	again := mustOpen(t, cfg)
	defer again.Close()
	if again.Version() == version {
		t.Error("the version stays the same")
	}
}

func TestBucketLists(t *testing.T) {
	s := newStoreS3(t)
	var want []string
	for i := range 2*listPage + 5 {
		key := fmt.Sprintf("many/%04d.parquet", i)
		s.put(key, []byte("x"))
		want = append(want, "s3://exports/"+key)
	}
	for _, key := range []string{"x/a.parquet", "x/_SUCCESS", "x/_tmp/d.parquet", "x/y/c.PARQUET", "x/notes.txt", "x/d[1].parquet", "xy/a.parquet"} {
		s.put(key, []byte("x"))
	}
	for _, c := range []struct{ pattern, want, err string }{
		{"x", "x/a.parquet x/d[1].parquet x/y/c.PARQUET", ""},
		{"x/*.parquet", "x/a.parquet x/d[1].parquet", ""},
		{"{x,xy}/a.*", "x/a.parquet xy/a.parquet", ""},
		{"x/_tmp/*", "x/_tmp/d.parquet", ""},
		{"x/d[1].parquet", "x/d[1].parquet", ""},
		{"x/notes.txt", "x/notes.txt", ""},
		{"none", "", "read s3://exports/none: no *.parquet file is there, or none matches"},
		{"x/[a", "", "read s3://exports/x/[a: syntax error in pattern"},
		{"many", strings.ReplaceAll(strings.Join(want, " "), "s3://exports/", ""), ""},
	} {
		b := newBuckets(0, retryPolicy{budget: 1}, slog.New(slog.DiscardHandler))
		files, errs := resolveFiles(context.Background(), "", []string{s.at(c.pattern)}, b)
		var names []string
		for _, f := range files {
			names = append(names, strings.TrimPrefix(f.name, "s3://exports/"))
			if f.object.version == "" {
				t.Errorf("%s has no version", f.name)
			}
		}
		got := ""
		if err := errors.Join(errs...); err != nil {
			got = err.Error()
		}
		if d := cmp.Diff(c.want, strings.Join(names, " ")); got != c.err || d != "" {
			t.Errorf("%s: %s %s", c.pattern, got, d[:min(len(d), 500)])
		}
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"s3://b/a?/x.parquet":                       "{s3 b a?/x.parquet }",
		"s3://b/a b/*?region=eu&endpoint=http://x/": "{s3 b a b/* region=eu&endpoint=http://x/}",
		"gs://b":                     "{gs b  }",
		"azblob://c/f/":              "{azblob c f/ }",
		"ftp://b/x":                  "read ftp://b/x: there are no addresses of this kind",
		"s3://id:secret@b/x":         "read s3://b/x: an address holds no credentials",
		"s3:///x":                    "read s3:///x: the name of its bucket is missing",
		"s3://b/x?region=%zz&secret": "read s3://b/x: its parameters are malformed",
	} {
		a, err := parseAddress(text)
		got := fmt.Sprint(a)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestObjectReader(t *testing.T) {
	s := newStoreS3(t)
	data := make([]byte, 6*blockSize+77)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	s.put("data", data)
	b := newBuckets(0, retryPolicy{budget: 1}, nil)
	files, errs := resolveFiles(context.Background(), "", []string{s.at("data")}, b)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	r := files[0].openObject(context.Background())
	defer r.Close()
	before := s.asked.Load()
	for _, at := range []int{0, 5, blockSize - 3, 3 * blockSize, 6*blockSize + 70, 6 * blockSize, 2, 4*blockSize - 5} {
		buf := make([]byte, 3*blockSize)
		n, err := r.ReadAt(buf, int64(at))
		if end := min(at+len(buf), len(data)); n != end-at || !bytes.Equal(buf[:n], data[at:end]) || (err == io.EOF) != (n < len(buf)) {
			t.Errorf("at %d: got %d bytes, %v", at, n, err)
		}
		if len(r.blocks) > minBlocks {
			t.Errorf("it keeps %d blocks", len(r.blocks))
		}
	}
	if asked := s.asked.Load() - before; asked > 20 {
		t.Errorf("the store was asked %d times", asked)
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := files[0].openObject(canceled).ReadAt(make([]byte, 1), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestBucketDown reads two sets from a store that is down: it waits once.
func TestBucketDown(t *testing.T) {
	s := newStoreS3(t)
	s.breakWith(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(503) })
	cfg := s.config(t.TempDir(), "a/*.parquet")
	cfg.policy.budget = 1
	cfg.Agents = []Set{{Files: []string{s.at("b/*.parquet")}}}
	_, err := OpenParquet(context.Background(), cfg)
	var file *FileError
	if err == nil || !strings.HasPrefix(err.Error(), "read s3://exports/a/: its store answered 503") || errors.As(err, &file) {
		t.Errorf("got %v", err)
	}
	if asked := s.asked.Load(); asked != 2 {
		t.Errorf("the store was asked %d times", asked)
	}
}

func TestBucketWithoutCredentials(t *testing.T) {
	s := newStoreS3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err := OpenParquet(context.Background(), s.config(t.TempDir(), "m.parquet"))
	var file *FileError
	if !errors.As(err, &file) || file.Try != tryRights["s3"] || file.Err.Error() != "there are no credentials" {
		t.Errorf("got %v", err)
	}
}
