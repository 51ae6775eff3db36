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
