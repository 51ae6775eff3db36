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
	for _, rows := range []int{500_000, 2_000_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			b.Chdir(b.TempDir())
			dsn := benchTable(b, rows)
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

// benchTable is ten interleaved messages of each of a tenth as many
// conversations, ordered by time.
func benchTable(b *testing.B, rows int) string {
	b.Helper()
	dsn := postgrestest.New(b)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`CREATE TABLE messages (conversation_id text, message_id text, sent_at timestamptz, role text, author_id text, author_name text, user_id text, body text)`,
		fmt.Sprintf(`INSERT INTO messages SELECT 'conv_' || i %% %[2]d, md5(i::text), timestamptz '2024-01-01' + i * interval '1 s',
			CASE WHEN i / %[2]d %% 2 = 0 THEN 'customer' ELSE 'agent' END, 'person_' || i %% 1000, 'Person ' || i %% 1000, 'user_' || i %% %[2]d, repeat(md5(i::text), 3)
		FROM generate_series(0, %[1]d - 1) AS i`, rows, rows/10),
		`CREATE INDEX ON messages (conversation_id)`,
		`VACUUM ANALYZE messages`,
	} {
		if _, err := db.Exec(statement); err != nil {
			b.Fatal(err)
		}
	}
	return dsn
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
