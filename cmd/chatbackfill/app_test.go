package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"strings"
	"testing"

	"github.com/chatbackfill/chatbackfill/jobs"
)

type panickingWriter struct{}

func (panickingWriter) Write(p []byte) (int, error) { panic(string(p)) }

// TestPanicIsUnexpected: Go itself would exit 2, which tells Kubernetes that the
// job file is wrong and another try is in vain.
func TestPanicIsUnexpected(t *testing.T) {
	var stderr bytes.Buffer
	code := run(context.Background(), []string{"version"}, strings.NewReader(""), panickingWriter{}, &stderr)
	if code != jobs.ExitUnexpected {
		t.Errorf("exit %d", code)
	}
	if text := stderr.String(); !strings.HasPrefix(text, "error: panic with a string\n") || !strings.Contains(text, "app_test.go") {
		t.Errorf("stderr:\n%s", text)
	}
}

// TestLogOfLibraries: a line of their own making would not be JSON.
func TestLogOfLibraries(t *testing.T) {
	var stderr bytes.Buffer
	code := run(context.Background(), []string{"version", "--log-format", "json"}, strings.NewReader(""), io.Discard, &stderr)
	log.Print("unsolicited response")
	if text := stderr.String(); code != jobs.ExitDone || !strings.Contains(text, `"msg":"unsolicited response"`) {
		t.Errorf("exit %d, stderr:\n%s", code, text)
	}
}
