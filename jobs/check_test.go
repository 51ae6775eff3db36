//go:build unix

package jobs

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// checkJob returns what is found of a job: a status and a text for each check.
func checkJob(t *testing.T, spec *Spec) (found []CheckFinding) {
	t.Helper()
	Check(t.Context(), Execution{Spec: spec, Log: quiet}, func(f CheckFinding) { found = append(found, f) })
	return found
}

// wantFinding looks for a finding of a check with a status and a text.
func wantFinding(t *testing.T, found []CheckFinding, check, status, text string) {
	t.Helper()
	for _, f := range found {
		if f.Check == check && f.Status == status && strings.Contains(f.Text+" "+f.Try, text) {
			return
		}
	}
	t.Errorf("no finding %s %s %q in:\n%s", check, status, text, foundText(found))
}

func foundText(found []CheckFinding) (text string) {
	for _, f := range found {
		text += fmt.Sprintf("%s %s: %s; %s\n", f.Check, f.Status, f.Text, f.Try)
	}
	return text
}

func TestCheck_CountsOneRowAsOne(t *testing.T) {
	c := newChatTable(t)
	c.insert(madeUpRows(1)[0], noon)
	wantFinding(t, checkJob(t, c.execution().Spec), "sample", CheckOK, "1 row of 1 conversation becomes 2 events")
}

func TestCheckPostgresOK(t *testing.T) {
	c := newChatTable(t)
	c.exec(`CREATE INDEX ON messages (changed_at)`)
	for _, r := range madeUpRows(30) {
		c.insert(r, noon)
	}
	spec := c.execution().Spec
	spec.Schedule = "0 3 * * *"
	found := checkJob(t, spec)
	for _, f := range found {
		if f.Status != CheckOK && f.Check != "rights" {
			t.Errorf("%s %s: %s", f.Check, f.Status, f.Text)
		}
	}
	wantFinding(t, found, "rights", CheckWarning, "superuser")
	wantFinding(t, found, "role", CheckOK, "every value")
	wantFinding(t, found, "sample", CheckOK, "of 30 conversations")
	wantFinding(t, found, "schedule", CheckOK, "03:00, ")
	if left, err := os.ReadDir(c.dir); err != nil || len(left) > 0 {
		t.Errorf("the check left %v, %v", left, err)
	}
}

// TestCheckPostgresFindings: one thing that is wrong hides no other.
func TestCheckPostgresFindings(t *testing.T) {
	c := newChatTable(t)
	c.exec(`DROP INDEX messages_conversation_id_idx`)
	c.exec(`ALTER TABLE messages ALTER sent_at TYPE timestamp, ALTER changed_at TYPE text`)
	for i, r := range madeUpRows(200) {
		r.Role = []string{r.Role, "ghost"}[i%2]
		c.exec(insertRow, r.Conversation, r.ID, time.UnixMilli(r.SentAt), "", r.Role, r.Kind, "", *r.Body)
	}
	spec := c.execution().Spec
	spec.State = StateRef{SQLite: filepath.Join(c.dir, "no", "state.db")}
	spec.Destination.File.Path = c.dir
	found := checkJob(t, spec)
	wantFinding(t, found, "indexes", CheckWarning, "CREATE INDEX CONCURRENTLY")
	wantFinding(t, found, "bound", CheckWarning, "changed_at is not mapped")
	wantFinding(t, found, "times", CheckWarning, "timestamp without time zone")
	wantFinding(t, found, "role", CheckWarning, "ghost")
	wantFinding(t, found, "sample", CheckFailed, "are rejected")
	wantFinding(t, found, "state", CheckFailed, "mkdir -p")
	wantFinding(t, found, "destination", CheckFailed, "not a regular file")
}

// TestCheckWithoutSource: what can be looked at is, though there is no source.
func TestCheckWithoutSource(t *testing.T) {
	c := newChatTable(t)
	c.exec(`ALTER TABLE messages DROP role, DROP sent_at`)
	found := checkJob(t, c.execution().Spec)
	wantFinding(t, found, "source", CheckFailed, "messages.role")
	wantFinding(t, found, "source", CheckFailed, "messages.sent_at")
	wantFinding(t, found, "state", CheckOK, "the first run creates it")
	wantFinding(t, found, "destination", CheckOK, "can be written")
}

const checkedTexts = `CREATE TABLE texts AS SELECT 'c' || i AS conversation_id, 'customer' AS role, now() - interval '1 year' AS sent_at,
	'<p>write to ana' || i || '@example.com</p>' AS body, CASE WHEN i > 3 THEN 'u' || i END AS who FROM generate_series(1, 10) i`

// TestCheckTexts: what is in texts is counted, and never shown.
func TestCheckTexts(t *testing.T) {
	c := newChatTable(t)
	c.exec(checkedTexts)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	const job = `
name: texts
source: {postgres: {dsn: %s, messages: {table: texts, fields: {user_id: who}}}}
destination: {segment: {source: s, write_key: k, endpoint: %s}}
`
	spec, err := ParseSpec(filepath.Join(c.dir, "job.yaml"), fmt.Appendf(nil, job, c.dsn, server.URL), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	found := checkJob(t, spec)
	wantFinding(t, found, "texts", CheckWarning, "body_format: html")
	wantFinding(t, found, "texts", CheckWarning, "e-mail addresses (7)")
	wantFinding(t, found, "identity", CheckWarning, "3 of 10 conversations")
	wantFinding(t, found, "old events", CheckWarning, "Google Analytics 4")
	wantFinding(t, found, "destination", CheckOK, "nothing was sent")
	if text := foundText(found); strings.Contains(text, "example.com") {
		t.Errorf("a text is shown:\n%s", text)
	}
	spec.Destination.Segment.Integrations = map[string]any{"All": false}
	wantFinding(t, checkJob(t, spec), "old events", CheckOK, "destinations are off")
}

// TestCheckKnownState: what is in the store is told, and left as it is.
func TestCheckKnownState(t *testing.T) {
	c := newChatTable(t)
	for _, r := range madeUpRows(5) {
		c.insert(r, noon)
	}
	c.run()
	wantFinding(t, checkJob(t, c.execution().Spec), "state", CheckOK, "the job has run")
	changed := c.execution().Spec
	changed.Conversation.Bots = "exclude"
	wantFinding(t, checkJob(t, changed), "state", CheckFailed, "chatbackfill accept")
	state, err := changed.State.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	job, err := state.Job(t.Context(), changed.Name, changed.Label())
	if err != nil {
		t.Fatal(err)
	}
	_, lease, err := job.Acquire(t.Context(), "", quiet)
	if err != nil {
		t.Fatal(err)
	}
	wantFinding(t, checkJob(t, c.execution().Spec), "state", CheckWarning, "is being run by process")
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestCheckPostgresState: a role that may not create the schema is told how an
// administrator does, and nothing is created.
func TestCheckPostgresState(t *testing.T) {
	c := newChatTable(t)
	spec := c.execution().Spec
	spec.State = StateRef{Postgres: NewSecret(c.dsn)}
	wantFinding(t, checkJob(t, spec), "state", CheckOK, "the first run creates it")
	var schemas int
	if err := c.db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname = 'chatbackfill'`).Scan(&schemas); err != nil || schemas != 0 {
		t.Errorf("%d schemas were created, %v", schemas, err)
	}
}

// TestCheckOlderState: what the job has written into its file cannot be known
// while the store has the schema of an older version, and is no cause to fail.
func TestCheckOlderState(t *testing.T) {
	g := newGoldenJob(t)
	for name, state := range g.stores("testdata/state/schema2") {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"SEGMENT_URL": g.server.URL, "STATE": state}
			spec, err := LoadSpec(filepath.Join(g.dir, "job.yaml"), func(name string) (string, bool) { value, ok := env[name]; return value, ok })
			if err != nil {
				t.Fatal(err)
			}
			spec.Destination = DestinationSpec{File: &FileSpec{Path: "events.ndjson", Source: "golden"}}
			if err := os.WriteFile(filepath.Join(g.dir, "events.ndjson"), []byte("{}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			wantFinding(t, checkJob(t, spec), "destination", CheckOK, "chatbackfill state migrate")
		})
	}
}
