package extract

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
	"github.com/jackc/pgx/v5"
)

// TestPostgresRewritten: a reader that waits for a table to be written anew, or
// replaced, has a snapshot that sees no rows afterwards.
func TestPostgresRewritten(t *testing.T) {
	const conversations = 20
	for name, set := range map[string]Set{"an index": {Table: "messages"}, "a list": {Query: "SELECT * FROM messages"}} {
		for _, change := range []string{
			`INSERT INTO spare TABLE messages; ALTER TABLE messages RENAME TO old; ALTER TABLE spare RENAME TO messages`,
			`CREATE TABLE kept AS TABLE messages; TRUNCATE messages; INSERT INTO messages TABLE kept`,
			`ALTER TABLE messages ADD COLUMN noise float DEFAULT random()`,
			`CREATE TABLE new AS TABLE messages; CREATE INDEX ON new (conversation_id); ALTER TABLE messages RENAME TO old; ALTER TABLE new RENAME TO messages`,
		} {
			for read := range 2 {
				t.Run(fmt.Sprint(name, ", ", change[:8], ", pages read: ", 2*read), func(t *testing.T) {
					dsn := postgrestest.New(t)
					pgMany(t, dsn, conversations)
					pgExec(t, dsn, `CREATE TABLE spare (LIKE messages INCLUDING INDEXES)`)
					p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{set}, Page: 4, AllowSlow: true})
					r := pgReader(t, pgFull(p), "")
					var all []Transcript
					for range read {
						page, err := r.Next(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						all = append(all, page.Transcripts...)
						for _, read := range r.pages {
							<-read.ended
						}
					}
					conn, err := pgx.Connect(t.Context(), dsn)
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close(context.Background())
					if _, err := conn.Exec(t.Context(), "BEGIN; "+change); err != nil {
						t.Fatal(err)
					}
					done := make(chan error, 1)
					go func() { done <- commitWhenWaited(conn, dsn) }()
					all = append(all, pgRest(t, r, nil)...)
					if err := <-done; err != nil {
						t.Fatal(err)
					}
					checkMany(t, all, conversations)
				})
			}
		}
	}
}

// commitWhenWaited ends the transaction of a connection once a reader waits for
// it.
func commitWhenWaited(conn *pgx.Conn, dsn string) error {
	ctx := context.Background()
	watch, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer watch.Close(ctx)
	for waits := false; !waits && err == nil; {
		err = watch.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'chatbackfill' AND wait_event_type = 'Lock')`).Scan(&waits)
	}
	_, end := conn.Exec(ctx, `COMMIT`)
	return errors.Join(err, end)
}
