//go:build unix

package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

var (
	sqlBlock     = regexp.MustCompile("(?s)```sql\n(.*?)```")
	postgresYAML = regexp.MustCompile("(?s)## From Postgres\n\n```yaml\n(.*?)```")
)

// TestReadmeGrants runs the README's job for Postgres as a role that has what
// the README grants it, and no more.
func TestReadmeGrants(t *testing.T) {
	server := postgrestest.Start(t)
	conn, err := pgx.Connect(t.Context(), server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	readme := readDoc(t, "README.md")
	statements := []string{
		`CREATE TABLE chat_messages (chat_id bigint, id bigint, created_at timestamptz, inserted_at timestamptz, author_type text, part_type text,
			private bool, inbox_id int, contact_id bigint, body text)`,
		`CREATE TABLE contacts (id bigint, identifier text)`,
		`CREATE INDEX ON chat_messages (chat_id)`,
		`INSERT INTO contacts VALUES (5, 'ann@example.com')`,
		`INSERT INTO chat_messages VALUES (1, 1, now() - interval '1 day', now() - interval '1 day', 'user', 'comment', false, 1, 5, 'hello'),
			(1, 2, now() - interval '23 h', now() - interval '1 day', 'admin', 'comment', false, 1, 5, 'hi'),
			(1, 3, now() - interval '22 h', now() - interval '1 day', 'admin', 'comment', true, 2, 5, 'of another inbox')`,
	}
	for _, block := range sqlBlock.FindAllStringSubmatch(readme, -1) {
		statements = append(statements, block[1])
	}
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	segment := segmenttest.New(t)
	j := &job{t: t, dir: t.TempDir()}
	const label = "source: support-chat-prod\n"
	j.write("job.yaml", strings.Replace(postgresYAML.FindStringSubmatch(readme)[1], label, label+"    endpoint: "+segment.URL+"\n", 1))
	dsn := "postgres://chatbackfill@" + server.Address() + "/postgres?sslmode=disable"
	j.env = []string{"CHAT_DATABASE_URL=" + dsn, "CHATBACKFILL_STATE=" + dsn, "SEGMENT_WRITE_KEY=key"}
	if p := j.start("run", "job.yaml"); p.exit() != jobs.ExitDone || segment.Events() < 3 {
		t.Errorf("%d events arrived\n%s", segment.Events(), p.output.String())
	}
	var granted int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM information_schema.role_table_grants
		WHERE grantee = 'chatbackfill' AND table_schema = 'public' AND privilege_type <> 'SELECT'`).Scan(&granted); err != nil || granted > 0 {
		t.Errorf("the role has %d rights beyond SELECT, %v", granted, err)
	}
}
