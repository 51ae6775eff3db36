//go:build unix

// Package postgrestest gives tests a real Postgres. It never skips a test: one
// that cannot have a server fails and says what to do.
//
// The server is the one that TEST_POSTGRES_DSN names, whose role must be
// allowed to create databases. Without it a throw-away cluster is made from the
// binaries in PATH or in /usr/lib/postgresql, once for each test binary; it is
// gone soon after the binary ends, however it ends. Where there are no binaries
// and the test runs as root on a system with apt-get, they are installed.
package postgrestest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// dsnVariable names a server to use instead of a throw-away one.
const dsnVariable = "TEST_POSTGRES_DSN"

var shared = sync.OnceValues(func() (string, error) {
	if dsn := os.Getenv(dsnVariable); dsn != "" {
		return dsn, nil
	}
	var err error
	sharedServer, err = newServer("fsync = off", "synchronous_commit = off", "full_page_writes = off")
	if err != nil {
		return "", err
	}
	return sharedServer.DSN(), nil
})

// sharedServer lives as long as it is reachable: see keepWatch.
var sharedServer *Server

// New returns the DSN of an empty database of the test's own. It is dropped,
// whoever is still connected to it, when the test ends. The role of the DSN may
// do anything.
func New(t testing.TB) string {
	t.Helper()
	dsn, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	name := "test_" + randomText()
	if err := execute(dsn, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatalf("create a database for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := execute(dsn, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return withDatabase(dsn, name)
}

func randomText() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func execute(dsn, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// withDatabase returns a DSN, of either form, with another database.
func withDatabase(dsn, name string) string {
	if !strings.Contains(dsn, "://") {
		return fmt.Sprintf("%s dbname=%s", dsn, name) // the last one wins
	}
	u, err := url.Parse(dsn)
	if err != nil { // pgx has connected with it
		panic(fmt.Sprintf("parse %s: %v", dsnVariable, err))
	}
	u.Path = "/" + name
	return u.String()
}
