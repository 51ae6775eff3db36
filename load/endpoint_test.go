package load

import (
	"errors"
	"strings"
	"testing"
)

func TestValidateEndpoint_OK(t *testing.T) {
	for in, want := range map[string]string{
		"https://api.segment.io":                      "https://api.segment.io",
		"https://api.segment.io/":                     "https://api.segment.io",
		"https://api.segment.io/v1":                   "https://api.segment.io",
		"https://api.segment.io/v1/":                  "https://api.segment.io",
		"https://events.eu1.segmentapis.com/v1/batch": "https://events.eu1.segmentapis.com",
		"https://proxy.acme.com:8443/segment/v1":      "https://proxy.acme.com:8443/segment",
		"http://127.0.0.1:8080":                       "http://127.0.0.1:8080",
		"http://127.9.9.9":                            "http://127.9.9.9",
		"http://[::1]:80/":                            "http://[::1]:80",
		"http://localhost:1/v1/":                      "http://localhost:1",
	} {
		if got, err := ValidateEndpoint(in); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, region := range []string{"us", "eu"} {
		endpoint, err := EndpointFor(region)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ValidateEndpoint(endpoint); err != nil || got != endpoint {
			t.Errorf("%s: %q, %v; want %q", region, got, err, endpoint)
		}
	}
}

func TestValidateEndpoint_Err(t *testing.T) {
	for _, in := range []string{
		"", "api.segment.io", "https://", "https:/api.segment.io", "ftp://api.segment.io", "http://api.segment.io",
		"http://localhost.evil.com", "http://127.0.0.1.evil.com", "http://10.0.0.1", "http://0.0.0.0",
		"https://user:secret@api.segment.io", "https://secret@api.segment.io", "https://user:secret@bad host",
		"https://api.segment.io?secret=1", "https://api.segment.io?", "https://api.segment.io#x",
		"https://api.segment.io:port", "https://api.segment.io\n",
	} {
		got, err := ValidateEndpoint(in)
		var misconfigured *Misconfigured
		if !errors.As(err, &misconfigured) || misconfigured.Try() == "" {
			t.Errorf("%q: %q, %v; want *Misconfigured", in, got, err)
		} else if strings.Contains(in, "@") && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the secret shows in %v", in, err)
		}
		if _, err := NewSegment(SegmentConfig{WriteKey: "k", Endpoint: in}); err == nil {
			t.Errorf("%q: taken by NewSegment", in)
		}
	}
	if _, err := EndpointFor("asia"); err == nil || !strings.Contains(err.Error(), `"asia"`) {
		t.Errorf("region asia: %v", err)
	}
	if _, err := NewSegment(SegmentConfig{Endpoint: "https://api.segment.io"}); err == nil {
		t.Error("no error without a write key")
	}
}
