//go:build unix

package postgrestest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Server is a Postgres cluster of a test's own, which the test may kill.
type Server struct {
	dir    string // holds all there is of it
	port   int
	bin    string // the folder of the server's programs
	sentry *os.File
}

// Start runs a private cluster until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := newServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.sentry.Close() })
	return s
}

// DSN connects a superuser over the loopback.
func (s *Server) DSN() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// SocketDSN is like DSN, over the server's Unix socket.
func (s *Server) SocketDSN() string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", s.dir, s.port)
}

// Address is where the server listens: host and port.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Stop kills the server as a crash does: connections break, nothing is saved
// but what was committed.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.control("stop", "-m", "immediate"); err != nil {
		t.Fatal(err)
	}
}

// Start lets a stopped server recover and listen where it did before.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.control("start", "-l", s.log()); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) log() string  { return filepath.Join(s.dir, "log") }

// newServer makes a cluster and starts it with further settings.
func newServer(settings ...string) (*Server, error) {
	return makeServer(settings, func(s *Server) *exec.Cmd {
		return s.command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "postgres",
			"-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	})
}

// makeServer starts a cluster whose files a command has made.
func makeServer(settings []string, files func(s *Server) *exec.Cmd) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(shortTemp(), "postgrestest-*")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin}
	if err := s.create(settings, files); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// shortTemp is the folder for temporary files, unless the path of a Unix socket
// in it would be too long.
func shortTemp() string {
	if dir := os.TempDir(); len(dir) < 60 {
		return dir
	}
	return "/tmp"
}

func (s *Server) create(settings []string, files func(s *Server) *exec.Cmd) error {
	if err := giveAway(s.dir); err != nil {
		return err
	}
	if out, err := files(s).CombinedOutput(); err != nil {
		return fmt.Errorf("make a Postgres cluster in %s: %w: %s", s.dir, err, out)
	}
	if err := s.keepWatch(); err != nil {
		return err
	}
	// Somebody else may take the port between choosing it and listening.
	var err error
	for range 5 {
		if s.port, err = freePort(); err != nil {
			break
		}
		if err = s.configure(settings); err != nil {
			break
		}
		if err = s.control("start", "-l", s.log()); err == nil {
			return nil
		}
	}
	s.sentry.Close()
	return err
}

func (s *Server) configure(settings []string) error {
	all := append([]string{
		"listen_addresses = '127.0.0.1'",
		fmt.Sprintf("port = %d", s.port),
		fmt.Sprintf("unix_socket_directories = '%s'", s.dir),
		"max_prepared_transactions = 10",
		"shared_buffers = 64MB",
		"restart_after_crash = on",
	}, settings...)
	path := filepath.Join(s.data(), "postgresql.auto.conf")
	if err := os.WriteFile(path, []byte(strings.Join(all, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("configure Postgres: %w", err)
	}
	return nil
}

// freePort picks a port below those that the system gives to clients, so that
// it is still free when a killed server is started again.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 20000 + rand.IntN(12000)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

func (s *Server) control(action string, args ...string) error {
	args = append([]string{"-D", s.data(), "-w", "-t", "60", action}, args...)
	if err := s.command(filepath.Join(s.bin, "pg_ctl"), args...).Run(); err != nil {
		return fmt.Errorf("%s Postgres in %s: %w: %s", action, s.dir, err, s.logTail())
	}
	return nil
}

func (s *Server) logTail() string {
	text, err := os.ReadFile(s.log())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}
