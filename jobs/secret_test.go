package jobs

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestSecretPrintsRedacted(t *testing.T) {
	const text = "hunter2"
	type holder struct {
		Exported   Secret
		unexported Secret
	}
	secret := NewSecret(text)
	values := map[string]any{
		"value": secret, "pointer": &secret, "slice": []Secret{secret}, "map": map[string]Secret{"k": secret},
		"struct": holder{secret, secret}, "pointer to struct": &holder{secret, secret}, "spec": SegmentSpec{WriteKey: secret},
	}
	for name, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%5v", "% x", "%10.3s", "%o", "%U", "%c", "%t", "%b", "%e"} {
			checkHidden(t, name+" "+verb, fmt.Sprintf(verb, value), text)
		}
		encodings := map[string]func() ([]byte, error){
			"json": func() ([]byte, error) { return json.Marshal(value) },
			"yaml": func() ([]byte, error) { return yaml.Marshal(value) },
			"slog text": func() ([]byte, error) {
				var b bytes.Buffer
				slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", value)
				return b.Bytes(), nil
			},
			"slog json": func() ([]byte, error) {
				var b bytes.Buffer
				slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", value)
				return b.Bytes(), nil
			},
		}
		for encoding, encode := range encodings {
			data, err := encode()
			if err != nil {
				t.Errorf("%s as %s: %v", name, encoding, err)
			}
			checkHidden(t, name+" as "+encoding, string(data), text)
		}
	}
	data, err := xml.Marshal(secret)
	if err != nil || !strings.Contains(string(data), redacted) {
		t.Errorf("xml: %s, %v", data, err)
	}
	checkHidden(t, "error", fmt.Errorf("connect to %v: %w", secret, errors.New("refused")).Error(), text)
	if secret.Reveal() != text || !secret.Equal(NewSecret(text)) || secret.IsZero() || !(Secret{}).IsZero() {
		t.Error("the secret is not what it was made of")
	}
}

func checkHidden(t *testing.T, how, printed, text string) {
	t.Helper()
	for _, form := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("% x", text), fmt.Sprintf("%X", text), text[:3]} {
		if strings.Contains(printed, form) {
			t.Errorf("%s: %q shows the secret", how, printed)
		}
	}
	if !strings.Contains(printed, redacted) {
		t.Errorf("%s: %q does not say %s", how, printed, redacted)
	}
}

func TestReadSecretFile(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{"k": "k", "k\n": "k", "k\r\n": "k", "k\n\n": "k\n", " k ": " k "} {
		path := filepath.Join(dir, "secret")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readSecretFile(path); err != nil || got != want {
			t.Errorf("%q: got %q, %v", content, got, err)
		}
	}
	for _, path := range []string{filepath.Join(dir, "none"), dir, "/dev/zero"} {
		if _, err := readSecretFile(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an error with the path", path, err)
		}
	}
}
