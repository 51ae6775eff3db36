//go:build unix

package load

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFile_ErrPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.ndjson")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenFile(pipe, Continuation{})
	var misconfigured *Misconfigured
	if !errors.As(err, &misconfigured) || !strings.Contains(err.Error(), "not a regular file") || misconfigured.Try() == "" {
		t.Errorf("error %v", err)
	}
}
