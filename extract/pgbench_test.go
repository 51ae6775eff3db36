//go:build unix

package extract

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// pgBenchTable is ten interleaved messages of each of a tenth as many
// conversations, ordered by time, as a chat system would have written them.
func pgBenchTable(b *testing.B, rows string) string {
	b.Helper()
	dsn := postgrestest.New(b)
	pgExec(b, dsn,
		`CREATE TABLE messages (conversation_id bigint, message_id uuid, sent_at timestamptz, role text, author_id int, author_name text, body text)`,
		`INSERT INTO messages SELECT i % (`+rows+` / 10), md5(i::text)::uuid, timestamptz '2024-01-01' + i * interval '1 s',
			CASE WHEN i % 2 = 0 THEN 'customer' ELSE 'agent' END, i % 1000, 'Author ' || i % 1000, repeat(md5(i::text), 3)
		FROM generate_series(0, `+rows+` - 1) AS i`,
		`CREATE INDEX ON messages (conversation_id)`,
		`ANALYZE messages`)
	pgExec(b, dsn, `VACUUM messages`)
	return dsn
}

// BenchmarkPostgres compares reading whole conversations with the fastest way of
// getting the same rows out in the same order: psql's binary COPY to nowhere.
// The memory that is held at most does not depend on the number of rows.
func BenchmarkPostgres(b *testing.B) {
	for _, rows := range []int{500_000, 2_000_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			dsn := pgBenchTable(b, fmt.Sprint(rows))
			p, err := OpenPostgres(context.Background(), PostgresConfig{DSN: dsn, Messages: pgTable("messages")})
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			debug.FreeOSMemory()
			var ours, theirs time.Duration
			var peak uint64
			for b.Loop() {
				began := time.Now()
				n, held := pgBenchRead(b, p.Pass(Pass{Upper: TimeOf(time.Now()), Full: true}))
				if n != rows {
					b.Fatalf("%d rows", n)
				}
				ours, peak = ours+time.Since(began), max(peak, held)
				began = time.Now()
				copyAll := `\copy (SELECT * FROM messages ORDER BY conversation_id, sent_at, message_id) TO '/dev/null' (FORMAT binary)`
				if out, err := exec.Command("psql", dsn, "-c", copyAll).CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
				theirs += time.Since(began)
			}
			b.ReportMetric(float64(rows*b.N)/ours.Seconds(), "rows/s")
			b.ReportMetric(theirs.Seconds()/ours.Seconds(), "times-psql")
			b.ReportMetric(float64(peak)/(1<<20), "peak-MB")
		})
	}
}

// pgBenchRead returns the number of rows and the memory held at most.
func pgBenchRead(b *testing.B, p *PostgresPass) (rows int, peak uint64) {
	r, err := p.Transcripts(context.Background(), "")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for {
		page, err := r.Next(context.Background())
		if err == io.EOF {
			return rows, peak
		}
		if err != nil {
			b.Fatal(err)
		}
		metrics.Read(memory)
		peak = max(peak, memory[0].Value.Uint64()-memory[1].Value.Uint64())
		for i := range page.Transcripts {
			rows += page.Transcripts[i].Rows()
		}
	}
}
