//go:build unix

package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// canary is a password that must not be seen anywhere.
const canary = "canary7Xq"

func TestPostgresTLSModes(t *testing.T) {
	for _, test := range []struct {
		dsn      string
		verified bool
		warned   bool
	}{
		{"postgres://db.example/x", true, false},
		{"postgres://db.example/x?sslmode=verify-full", true, false},
		{"postgres://db.example/x?sslmode=require", false, true},
		{"postgres://db.example/x?sslmode=disable", false, true},
		{"postgres://db.example/x?sslmode=prefer", false, true},
		{"postgres://10.0.0.1/x", true, false},
		{"postgres://localhost,db.example/x", true, false},
		{"postgres://localhost/x", false, false},
		{"postgres://127.0.0.1/x", false, false},
		{"postgres://[::1]/x", false, false},
		{"postgres:///x?host=/var/run/postgresql", false, false},
		{"postgres:///x?host=db.example", true, false},
	} {
		t.Run(test.dsn, func(t *testing.T) {
			var log bytes.Buffer
			config, err := parsePostgres(test.dsn, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			last := config.TLSConfig
			for _, f := range config.Fallbacks {
				last = f.TLSConfig
			}
			if verified := last != nil && !last.InsecureSkipVerify && last.ServerName != ""; verified != test.verified {
				t.Errorf("the server's name is verified: %v", verified)
			}
			if warned := log.Len() > 0; warned != test.warned {
				t.Errorf("log %q", log.String())
			}
		})
	}
}

func TestPostgresTLSModeFromTheEnvironment(t *testing.T) {
	t.Setenv("PGSSLMODE", "require")
	var log bytes.Buffer
	if _, err := parsePostgres("postgres://db.example/x", slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "sslmode=require") {
		t.Errorf("log %q", log.String())
	}
}

func TestPostgresDSN(t *testing.T) {
	for dsn, password := range map[string]string{
		"postgres://u:p%40ss%2Fword@localhost/x":      "p@ss/word",
		"postgres://u:p@ss@localhost/x":               "p@ss",
		"postgres://localhost/x?user=u&password=a%26": "a&",
		"postgresql://u:@localhost/x":                 "",
	} {
		config, err := parsePostgres(dsn, quiet)
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		if config.Password != password || config.User != "u" || config.Host != "localhost" || config.Database != "x" {
			t.Errorf("%s: user %s, password %s, host %s, database %s", dsn, config.User, config.Password, config.Host, config.Database)
		}
		if config.RuntimeParams["application_name"] != "chatbackfill" || strings.Contains(config.ConnString(), "p@ss") {
			t.Errorf("%s: %v, %s", dsn, config.RuntimeParams, config.ConnString())
		}
	}
}

// TestPostgresErrNeverShowPasswords opens stores in every way that fails.
func TestPostgresErrNeverShowPasswords(t *testing.T) {
	server := hostOf(t, postgrestest.New(t))
	live := "u:" + canary + "@" + server
	dsns := map[string]int{
		"postgres://u:" + canary + "@localhost:1/x":                                             ExitInterrupted,
		"postgres://u:" + canary + "@localhost:99999/x":                                         ExitUsage,
		"postgres://u:" + canary + "@localhost:port/x":                                          ExitUsage,
		"postgres://u:" + canary + "/more@localhost/x":                                          ExitUsage,
		"postgres://u:a@" + canary + "/more@localhost/x":                                        ExitUsage,
		"postgres://u:12#" + canary + "@localhost/x":                                            ExitUsage,
		"postgres://u:12?" + canary + "@localhost/x":                                            ExitUsage,
		"postgres://u:%zz" + canary + "@localhost/x":                                            ExitUsage,
		"postgres://localhost:1/x?password=" + canary:                                           ExitInterrupted,
		"postgres://localhost:1/x?sslmode=bad&password=" + canary:                               ExitUsage,
		"postgres://u:" + canary + "@localhost/x?sslmode=" + canary:                             ExitUsage,
		"postgres://u:" + canary + "@localhost/x?connect_timeout=" + canary:                     ExitUsage,
		"postgres://u:" + canary + "@localhost/x?sslrootcert=/no/such/file&sslmode=verify-full": ExitUsage,
		"postgres://" + live + "/x?sslmode=verify-full":                                         ExitUsage, // it has no TLS
		"postgres://" + live + "/postgres":                                                      ExitUsage, // no such user
		"postgres://postgres:" + canary + "@" + server + "/no":                                  ExitUsage, // no such database
	}
	for dsn, exit := range dsns {
		ref := postgresRef(dsn)
		var log bytes.Buffer
		ref.Log = slog.New(slog.NewTextHandler(&log, nil))
		_, openErr := ref.Open(t.Context())
		_, existingErr := ref.OpenExisting(t.Context())
		_, schemaErr := ref.Schema(t.Context())
		for _, err := range []error{openErr, existingErr, schemaErr} {
			var e *Error
			if !errors.As(err, &e) || e.Exit != exit || e.Try == "" {
				t.Errorf("%s: exit %d, want %d: %v", dsn, ExitCode(err), exit, err)
				continue
			}
			for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%+v %#v", err, ref), e.Try, log.String()} {
				if strings.Contains(text, canary) {
					t.Errorf("%s: the password is seen in %s", dsn, text)
				}
			}
		}
	}
}
