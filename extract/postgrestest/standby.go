//go:build unix

package postgrestest

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Standby runs a streaming standby of the server until the test ends. It
// cancels what stands in the way of replaying at once.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	settings := []string{"hot_standby = on", "max_standby_streaming_delay = 0", "wal_retrieve_retry_interval = '100ms'"}
	settings = append(settings, "primary_conninfo = 'host=127.0.0.1 port="+strconv.Itoa(s.port)+" user=postgres'")
	standby, err := makeServer(settings, func(copied *Server) *exec.Cmd {
		return copied.command(filepath.Join(s.bin, "pg_basebackup"), "-D", copied.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port),
			"-U", "postgres", "-X", "stream", "-c", "fast", "--no-sync", "-R")
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.sentry.Close() })
	return standby
}

// Promote makes a standby a server that can be written to.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	if err := s.control("promote"); err != nil {
		t.Fatal(err)
	}
}
