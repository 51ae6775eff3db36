//go:build unix

package extract

import (
	"context"
	"io"
	"os/exec"
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

func BenchmarkPostgres(b *testing.B) {
	const rows = 2_000_000
	dsn := pgBenchTable(b, "2000000")
	p, err := OpenPostgres(context.Background(), PostgresConfig{DSN: dsn, Messages: pgTable("messages")})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	b.Run("pages", func(b *testing.B) {
		for b.Loop() {
			if n := pgBenchRead(b, p.Pass(Pass{Upper: TimeOf(time.Now()), Full: true})); n != rows {
				b.Fatalf("%d rows", n)
			}
		}
		b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("psql", func(b *testing.B) {
		for b.Loop() {
			copyAll := `\copy (SELECT * FROM messages ORDER BY conversation_id, sent_at, message_id) TO '/dev/null' (FORMAT binary)`
			if out, err := exec.Command("psql", dsn, "-c", copyAll).CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
		}
		b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}

func pgBenchRead(b *testing.B, p *PostgresPass) (rows int) {
	r, err := p.Transcripts(context.Background(), "")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for {
		page, err := r.Next(context.Background())
		if err == io.EOF {
			return rows
		}
		if err != nil {
			b.Fatal(err)
		}
		for i := range page.Transcripts {
			rows += page.Transcripts[i].Rows()
		}
	}
}
