package extract

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestParsePostgresVerifiesServers(t *testing.T) {
	t.Setenv("PGSSLMODE", "disable") // which nobody reads in the job file
	for _, c := range []struct {
		dsn      string
		verified bool
		warned   bool
	}{
		{"postgres://u:p@db.example.com/x", true, false},
		{"postgres://u:p@db.example.com/x?application_name=y", true, false},
		{"postgres://10.0.0.1/x", true, false},
		{"postgres://localhost,db.example/x", true, false},
		{"postgres:///x?host=db.example", true, false},
		{"host=db.example.com user=u", true, false},
		{"host=127.0.0.1,db.example.com user=u", true, false},
		{"postgres://u:p@db.example.com/x?sslmode=verify-full", true, false},
		{"postgres://u:p@db.example.com/x?sslmode=require", false, true},
		{"postgres://u:p@db.example.com/x?a=b&sslmode=disable", false, true},
		{"host=db.example.com sslmode='prefer'", false, true},
		{"postgres://u:p@localhost/x", false, false},
		{"postgres://u:p@[::1]/x", false, false},
		{"postgres://u:p@127.0.0.2/x", false, false},
		{"postgres:///x?host=/var/run/postgresql", false, false},
		{"host=/var/run/postgresql user=u", false, false},
	} {
		t.Run(c.dsn, func(t *testing.T) {
			var logged bytes.Buffer
			config, err := ParsePostgres(c.dsn, "the store", slog.New(slog.NewTextHandler(&logged, nil)))
			if err != nil {
				t.Fatal(err)
			}
			last := config.TLSConfig
			for _, f := range config.Fallbacks {
				last = f.TLSConfig
			}
			if verified := last != nil && !last.InsecureSkipVerify && last.ServerName != ""; verified != c.verified || (logged.Len() > 0) != c.warned {
				t.Errorf("verified: %t, logged: %s", verified, logged.String())
			}
			if config.RuntimeParams["application_name"] != applicationName {
				t.Errorf("application_name is %q", config.RuntimeParams["application_name"])
			}
		})
	}
}

func TestParsePostgresPasswords(t *testing.T) {
	for dsn, password := range map[string]string{
		"postgres://u:p%40ss%2Fword@localhost/x":               "p@ss/word",
		"postgres://u:p@ss@localhost/x":                        "p@ss",
		"postgres://localhost/x?user=u&password=a%26":          "a&",
		"postgresql://u:@localhost/x":                          "",
		"host=localhost dbname=x user=u password='p@ s\\' /#'": "p@ s' /#",
	} {
		config, err := ParsePostgres(dsn, "the store", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		if config.Password != password || config.User != "u" || config.Host != "localhost" || config.Database != "x" {
			t.Errorf("%s: user %s, password %s, host %s, database %s", dsn, config.User, config.Password, config.Host, config.Database)
		}
		if kept, err := pgx.ParseConfig(config.ConnString()); isURL(dsn) && (err != nil || kept.Password != "") {
			t.Errorf("%s: what is kept of it has the password", dsn)
		}
	}
}
