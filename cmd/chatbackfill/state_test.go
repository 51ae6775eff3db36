//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

const stateJob = `
name: chats
source:
  parquet:
    messages:
      files: [chats.parquet]
      fields: {conversation_id: id, message_id: id, sent_at: at, role: {value: customer}, author_id: id}
destination:
  file: {path: events.ndjson}
state: %s
`

func TestState(t *testing.T) {
	for name, state := range map[string]string{"sqlite": "sqlite:state.db", "postgres": postgrestest.New(t)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			job := filepath.Join(dir, "job.yaml")
			if err := os.WriteFile(job, fmt.Appendf(nil, stateJob, state), 0o600); err != nil {
				t.Fatal(err)
			}
			status := func() (r stateRecord) {
				t.Helper()
				if err := json.Unmarshal([]byte(stateOutput(t, "status", job, "-o", "json")), &r); err != nil {
					t.Fatal(err)
				}
				return r
			}
			before := status()
			if before.Schema != 0 || before.Program == 0 || !strings.HasPrefix(before.Status, "empty") {
				t.Errorf("before: %+v", before)
			}
			if _, err := os.Stat(filepath.Join(dir, "state.db")); err == nil {
				t.Error("status created the store")
			}
			if out := stateOutput(t, "migrate", job); !strings.HasPrefix(out, "migrated "+before.Store+" from schema 0 to ") {
				t.Errorf("migrate: %s", out)
			}
			if after := status(); after.Schema != before.Program || after.Status != "up to date" || after.Store != before.Store {
				t.Errorf("after: %+v", after)
			}
			if out := stateOutput(t, "migrate", job); !strings.HasSuffix(out, "is up to date\n") {
				t.Errorf("migrate again: %s", out)
			}
		})
	}
}

// stateOutput returns what the command state prints.
func stateOutput(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	a := &app{out: &out, err: &out, env: os.LookupEnv, log: slog.New(slog.DiscardHandler)}
	c := a.stateCommand()
	c.SetArgs(args)
	if err := c.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
