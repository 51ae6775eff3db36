//go:build !unix

// Package postgrestest gives tests a real Postgres, on Unix.
package postgrestest

import "testing"

// New fails the test: a server is started on Unix only.
func New(t testing.TB) string {
	t.Helper()
	t.Fatal("start Postgres: this system is no Unix")
	return ""
}
