//go:build unix

package jobs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// pgbouncer returns the path of the program, which is installed where that is
// possible. Without it the test is skipped, but fails where CI=true.
func pgbouncer(t *testing.T) string {
	t.Helper()
	find := func() (string, bool) {
		for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
			if path, err := exec.LookPath(name); err == nil {
				return path, true
			}
		}
		return "", false
	}
	path, found := find()
	if !found && os.Getuid() == 0 {
		install := exec.Command("sh", "-c", "apt-get install -y -qq --no-install-recommends pgbouncer || { apt-get update -qq && apt-get install -y -qq --no-install-recommends pgbouncer; }")
		install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		install.Run()
		path, found = find()
	}
	switch {
	case found:
		return path
	case os.Getenv("CI") == "true":
		t.Fatal("there is no pgbouncer, and it cannot be installed: apt-get install pgbouncer")
	}
	t.Skip("there is no pgbouncer: apt-get install pgbouncer")
	return ""
}

// startPooler runs PgBouncer in transaction mode, with two sessions, before the
// database of a DSN, and returns the DSN that goes through it.
func startPooler(t *testing.T, dsn string) string {
	t.Helper()
	program := pgbouncer(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
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

func unprivileged(t *testing.T) string {
	for _, name := range []string{"postgres", "nobody"} {
		if _, err := user.Lookup(name); err == nil {
			return name
		}
	}
	t.Fatal("there is no account postgres or nobody")
	return ""
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func listening(t *testing.T, address, log string) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
	}
	text, _ := os.ReadFile(log)
	t.Fatalf("pgbouncer does not listen on %s: %s", address, text)
}

func TestPostgresBehindPgBouncer(t *testing.T) {
	dsn := postgrestest.New(t)
	testState(t, newSchema(startPooler(t, dsn), dsn))
}

// TestPostgresManyBehindPgBouncer migrates, commits and reads from many pools at
// once over two sessions, which other programs use too.
func TestPostgresManyBehindPgBouncer(t *testing.T) {
	dsn := postgrestest.New(t)
	pooled := startPooler(t, dsn)
	atOnce(t, postgresRef(pooled), 20)
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() { shareSessions(t, pooled, fmt.Sprintf("job%d", i)) })
	}
	wg.Wait()
	// Another program's session is as it was.
	var path string
	other := connectBeside(t, pooled+"&default_query_exec_mode=exec")
	for range 10 {
		if err := other.QueryRow(t.Context(), `SELECT current_setting('search_path')`).Scan(&path); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(path, postgresSchema) {
			t.Fatalf("another program's search_path is %s", path)
		}
	}
}

func shareSessions(t *testing.T, dsn, name string) {
	ctx := context.Background()
	s, err := postgresRef(dsn).Open(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	j, err := s.Job(ctx, name, "label")
	if err != nil {
		t.Error(err)
		return
	}
	_, l, err := j.Acquire(ctx, "", quiet)
	if err != nil {
		t.Error(err)
		return
	}
	defer l.Release(ctx)
	for n := range 20 {
		at := Checkpoint{Pass: int64(n + 1), Tally: newCounts()}
		err := l.Commit(ctx, "run", commit{ledger: []ledgerEntry{{"c", 1, entryOf(uint64(n), 1)}}, due: map[string]extract.Time{"c": 1}, advance: &at})
		got, readErr := j.Delivered(ctx, []string{"c"})
		if err != nil || readErr != nil || len(got["c"].Events) != n+1 {
			t.Errorf("%s: %d events after %d commits: %v", name, len(got["c"].Events), n+1, errors.Join(err, readErr))
			return
		}
	}
}
