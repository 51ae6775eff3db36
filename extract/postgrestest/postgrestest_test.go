//go:build unix

package postgrestest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

func query(t *testing.T, dsn, sql string) (text string, err error) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.Background())
	return text, conn.QueryRow(context.Background(), sql).Scan(&text)
}

func TestNewGivesEachTestItsOwnDatabase(t *testing.T) {
	var names [2]string
	for i := range names {
		var err error
		if names[i], err = query(t, New(t), "SELECT current_database()::text"); err != nil {
			t.Fatal(err)
		}
	}
	if names[0] == names[1] {
		t.Errorf("both databases are %s", names[0])
	}
}

func TestDatabaseIsDropped(t *testing.T) {
	var dsn string
	t.Run("uses it", func(t *testing.T) { dsn = New(t) })
	if _, err := query(t, dsn, "SELECT 'x'"); err == nil {
		t.Error("it is still there")
	}
}

func TestServerComesBack(t *testing.T) {
	s := Start(t)
	if err := execute(s.DSN(), "CREATE TABLE kept AS SELECT 'yes' AS answer"); err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	if _, err := query(t, s.DSN(), "SELECT 'x'"); err == nil {
		t.Fatal("a stopped server answers")
	}
	s.Start(t)
	for _, dsn := range []string{s.DSN(), s.SocketDSN()} {
		if got, err := query(t, dsn, "SELECT answer FROM kept"); err != nil || got != "yes" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func TestWithDatabase(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://u:p%20w@h:1/a?sslmode=disable": "postgres://u:p%20w@h:1/b?sslmode=disable",
		"host=h dbname=a":                          "host=h dbname=a dbname=b",
	} {
		if got := withDatabase(dsn, "b"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
