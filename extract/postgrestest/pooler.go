//go:build unix

package postgrestest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Pooler runs PgBouncer in transaction mode, with two sessions, before the
// database of a DSN in the form of a URL, and returns the DSN that goes through
// it. PgBouncer is installed where that is possible; without it the test is
// skipped, but fails where CI=true.
func Pooler(t testing.TB, dsn string) string {
	t.Helper()
	program := Program(t, "pgbouncer", "pgbouncer", "/usr/sbin/pgbouncer")
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	number, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(number)
	password, given := u.User.Password()
	if given {
		password = " password='" + strings.ReplaceAll(password, "'", "''") + "'"
	}
	dir, err := os.MkdirTemp("", "pooler-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := fmt.Sprintf(`[databases]
%s = host=%s port=%s user=%s%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
max_client_conn = 200
logfile = %s/log
`, strings.TrimPrefix(u.Path, "/"), u.Hostname(), u.Port(), u.User.Username(), password, port, dir)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := errors.Join(os.WriteFile(file, []byte(config), 0o644), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	args := []string{"-q", file}
	if os.Getuid() == 0 { // as which it does not run
		args = append([]string{"-u", unprivileged(t)}, args...)
	}
	pooler := exec.Command(program, args...)
	pooler.Stderr = os.Stderr // nothing, unless it does not start
	if err := pooler.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pooler.Process.Kill()
		pooler.Wait()
	})
	u.Host = net.JoinHostPort("127.0.0.1", port)
	u.RawQuery = "sslmode=disable"
	listening(t, u.Host, filepath.Join(dir, "log"))
	return u.String()
}

func unprivileged(t testing.TB) string {
	for _, name := range []string{"postgres", "nobody"} {
		if _, err := user.Lookup(name); err == nil {
			return name
		}
	}
	t.Fatal("there is no account postgres or nobody")
	return ""
}

func listening(t testing.TB, address, log string) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
	}
	text, _ := os.ReadFile(log)
	t.Fatalf("pgbouncer does not listen on %s: %s", address, text)
}
