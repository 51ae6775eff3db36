package extract

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// cloudStore is a bucket called exports on the loopback that speaks as much of
// a cloud's language as reading needs.
type cloudStore struct {
	objects map[string][]byte
	written atomic.Int64                              // how often the objects were written anew
	broken  atomic.Pointer[func(r *http.Request) int] // requests may outlive the reading that they are of
}

func (s *cloudStore) generation() int64 { return 1700000000000000 + s.written.Load() }

func (s *cloudStore) keys(prefix string) (keys []string) {
	for key := range s.objects {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// part answers with a part of an object, unless it is not of the version that is
// asked for.
func (s *cloudStore) part(w http.ResponseWriter, r *http.Request, key, etag, wanted string) {
	data, ok := s.objects[key]
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case wanted != "" && wanted != etag:
		w.WriteHeader(http.StatusPreconditionFailed)
	default:
		w.Header().Set("Etag", etag)
		http.ServeContent(w, r, "", testNow, bytes.NewReader(data))
	}
}

// google speaks the language of Google Cloud Storage: its JSON for lists and
// attributes, its older one for content.
func (s *cloudStore) google(w http.ResponseWriter, r *http.Request) {
	if status := s.fails(r); status != 0 {
		w.WriteHeader(status)
		return
	}
	attrs := func(key string) map[string]string {
		return map[string]string{
			"kind": "storage#object", "bucket": "exports", "name": key, "size": strconv.Itoa(len(s.objects[key])),
			"updated": testNow.Format(time.RFC3339), "generation": fmt.Sprint(s.generation()), "etag": "e",
		}
	}
	path, isJSON := strings.CutPrefix(strings.TrimPrefix(r.URL.Path, "/storage/v1"), "/b/exports/o")
	switch key := strings.TrimPrefix(path, "/"); {
	case !isJSON:
		w.Header().Set("X-Goog-Generation", fmt.Sprint(s.generation()))
		s.part(w, r, strings.TrimPrefix(r.URL.Path, "/exports/"), fmt.Sprint(s.generation()), r.Header.Get("X-Goog-If-Generation-Match"))
	case key == "":
		items := []map[string]string{}
		for _, key := range s.keys(r.URL.Query().Get("prefix")) {
			items = append(items, attrs(key))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "storage#objects", "items": items})
	case s.objects[key] == nil:
		w.WriteHeader(http.StatusNotFound)
	default:
		_ = json.NewEncoder(w).Encode(attrs(key))
	}
}

// azure speaks the language of Azure Blob Storage.
func (s *cloudStore) azure(w http.ResponseWriter, r *http.Request) {
	if status := s.fails(r); status != 0 {
		w.WriteHeader(status)
		return
	}
	etag := fmt.Sprintf(`"0x%X"`, s.generation())
	_, key, isBlob := strings.Cut(strings.TrimPrefix(r.URL.Path, "/account/exports"), "/")
	if isBlob {
		r.Header.Set("Range", r.Header.Get("X-Ms-Range"))
		w.Header().Set("X-Ms-Blob-Type", "BlockBlob")
		w.Header().Set("X-Ms-Creation-Time", testNow.Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/octet-stream")
		wanted := r.Header.Get("If-Match")
		r.Header.Del("If-Match")
		s.part(w, r, key, etag, wanted)
		return
	}
	type properties struct {
		Modified string `xml:"Last-Modified"`
		ETag     string `xml:"Etag"`
		Length   int    `xml:"Content-Length"`
		BlobType string
	}
	type blob struct {
		Name       string
		Properties properties
	}
	list := struct {
		XMLName xml.Name `xml:"EnumerationResults"`
		Blobs   []blob   `xml:"Blobs>Blob"`
	}{}
	for _, key := range s.keys(r.URL.Query().Get("prefix")) {
		list.Blobs = append(list.Blobs, blob{key, properties{testNow.Format(http.TimeFormat), strings.Trim(etag, `"`), len(s.objects[key]), "BlockBlob"}})
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(list)
}

func (s *cloudStore) fails(r *http.Request) int {
	broken := *s.broken.Load()
	if broken == nil {
		return 0
	}
	return broken(r)
}

// TestCloudStores: what lies in Google's and Azure's stores reads as local files
// do, in one version, and their troubles are told apart.
func TestCloudStores(t *testing.T) {
	data := export(t, 2400)
	local := t.TempDir()
	if err := os.WriteFile(filepath.Join(local, "m.parquet"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := readBucket(testConfig(local, "m.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for scheme, serve := range map[string]func(*cloudStore) http.HandlerFunc{
		"gs":     func(s *cloudStore) http.HandlerFunc { return s.google },
		"azblob": func(s *cloudStore) http.HandlerFunc { return s.azure },
	} {
		t.Run(scheme, func(t *testing.T) {
			s := &cloudStore{objects: map[string][]byte{"chats/a b.parquet": data, "chats/readme.txt": nil}}
			server := httptest.NewServer(serve(s))
			t.Cleanup(server.Close)
			host := strings.TrimPrefix(server.URL, "http://")
			parameters := "?anonymous=true"
			t.Setenv("STORAGE_EMULATOR_HOST", host)
			if scheme == "azblob" {
				parameters = "?localemu=true&protocol=http&storage_account=account&domain=" + url.QueryEscape(host)
				t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
				t.Setenv("AZURE_STORAGE_KEY", "a2V5")
			}
			read := func(pattern string, broken func(r *http.Request) int) error {
				s.broken.Store(&broken)
				cfg := testConfig(local, scheme+"://exports/"+pattern+parameters)
				cfg.policy = patient
				got, err := readBucket(cfg)
				if d := cmp.Diff(want, got); d != "" && err == nil {
					t.Errorf("%s: %s", pattern, d)
				}
				return err
			}
			for _, pattern := range []string{"chats/a b.parquet", "chats", "**/*.parquet"} {
				if err := read(pattern, nil); err != nil {
					t.Errorf("%s: %v", pattern, err)
				}
			}
			var asked atomic.Int64
			once := func(r *http.Request) int {
				if asked.Add(1) == 3 {
					return http.StatusServiceUnavailable
				}
				return 0
			}
			if err := read("chats", once); err != nil {
				t.Errorf("after one failure: %v", err)
			}
			asked.Store(0)
			replaced := func(r *http.Request) int {
				if asked.Add(1) == 4 {
					s.written.Add(1)
				}
				return 0
			}
			if err := read("chats", replaced); !errors.Is(err, ErrChanged) {
				t.Errorf("an object that is replaced: %v", err)
			}
			var file *FileError
			forbidden := func(*http.Request) int { return http.StatusForbidden }
			if err := read("chats", forbidden); !errors.As(err, &file) || file.Try != tryRights[scheme] {
				t.Errorf("without rights: %v", err)
			}
		})
	}
}
