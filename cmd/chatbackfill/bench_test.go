//go:build linux

package main

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// BenchmarkPostgresToFile compares a whole run from Postgres into a file, in a
// process of its own, with psql's binary COPY of the same rows to nowhere. The
// memory is all that the process held at most, its program included.
func BenchmarkPostgresToFile(b *testing.B) {
	program := binary(b)
	for _, conversations := range []int{50_000, 200_000} {
		b.Run(fmt.Sprint(conversations), func(b *testing.B) {
			b.Chdir(b.TempDir())
			dsn, rows := benchTable(b, conversations)
			job := fmt.Sprintf("name: bench\nsource: {postgres: {dsn: %q, messages: {table: messages, fields: {user_id: user_id}}}}\ndestination: {file: {path: events.ndjson}}\nledger: off\n", dsn)
			if err := os.WriteFile("job.yaml", []byte(job), 0o600); err != nil {
				b.Fatal(err)
			}
			var ours, theirs time.Duration
			var peak int64
			for b.Loop() {
				for _, written := range []string{"events.ndjson", "bench.state.db*"} {
					old, _ := filepath.Glob(written)
					for _, path := range old {
						os.Remove(path)
					}
				}
				took, held := timed(b, program, "run", "job.yaml")
				ours, peak = ours+took, max(peak, held)
				took, _ = timed(b, "psql", dsn, "-c", `\copy (SELECT * FROM messages ORDER BY conversation_id, sent_at, message_id) TO '/dev/null' (FORMAT binary)`)
				theirs += took
			}
			b.ReportMetric(float64(rows*b.N)/ours.Seconds(), "rows/s")
			b.ReportMetric(theirs.Seconds()/ours.Seconds(), "times-psql")
			b.ReportMetric(float64(peak)/(1<<10), "peak-MB")
		})
	}
}

// benchTable is a table of conversations with three to seventeen messages each,
// ordered by time as an export is, so that they are interleaved. It returns how
// many messages they have.
func benchTable(b *testing.B, conversations int) (dsn string, rows int) {
	b.Helper()
	server := postgrestest.Start(b)
	dsn = server.DSN()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`ALTER SYSTEM SET shared_buffers = '128MB'`); err != nil { // Postgres's default
		b.Fatal(err)
	}
	server.Stop(b)
	server.Start(b)
	for _, statement := range []string{
		`CREATE TABLE messages (conversation_id text, message_id text, sent_at timestamp, role text,
			author_id text, author_name text, author_username text, user_id text, kind text, body text)`,
		`CREATE FUNCTION drawn(seed text, below int) RETURNS int LANGUAGE sql IMMUTABLE RETURN (hashtext(seed) & 2147483647) % below`,
		fmt.Sprintf(`INSERT INTO messages
			SELECT 'conv_' || lpad(c::text, 9, '0'), md5(c || '-' || m), begun + (m * 37 + drawn(c || 'at' || m, 30)) * interval '1 s', role,
				CASE role WHEN 'agent' THEN 'agent_' || agent ELSE 'user_' || customer END,
				CASE role WHEN 'agent' THEN 'Agent ' || agent ELSE 'Customer ' || customer END,
				CASE role WHEN 'agent' THEN 'agent.' || agent END,
				'user_' || customer, CASE m WHEN last THEN 'end' ELSE 'message' END,
				repeat('lorem ipsum dolor sit amet ', 1 + drawn(c || 'body' || m, 6)) || m
			FROM generate_series(1, %d) AS c
			CROSS JOIN LATERAL (SELECT timestamp '2023-01-01' + drawn(c || 'begun', 365 * 86400) * interval '1 s' AS begun,
				drawn(c || 'agent', 500) AS agent, drawn(c || 'customer', 80000) AS customer, 2 + drawn(c || 'last', 15) AS last) AS conversation
			CROSS JOIN generate_series(0, last) AS m
			CROSS JOIN LATERAL (SELECT CASE WHEN m = 0 OR drawn(c || 'role' || m, 2) = 0 THEN 'customer' ELSE 'agent' END AS role) AS message
			ORDER BY 3`, conversations),
		`CREATE INDEX ON messages (conversation_id)`,
		`VACUUM ANALYZE messages`,
	} {
		if _, err := db.Exec(statement); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.QueryRow(`SELECT count(*) FROM messages`).Scan(&rows); err != nil {
		b.Fatal(err)
	}
	return dsn, rows
}

// timed runs a command and returns how long it took, and the KiB that it held at
// most.
func timed(b *testing.B, name string, args ...string) (time.Duration, int64) {
	b.Helper()
	cmd := exec.Command(name, args...)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", filepath.Base(name), err, out)
	}
	return time.Since(began), cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
}
