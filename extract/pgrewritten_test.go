//go:build unix

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
	tables := []string{
		`INSERT INTO spare TABLE messages; ALTER TABLE messages RENAME TO old; ALTER TABLE spare RENAME TO messages`,
		`CREATE TABLE kept AS TABLE messages; TRUNCATE messages; INSERT INTO messages TABLE kept`,
		`ALTER TABLE messages ADD COLUMN noise float DEFAULT random()`,
		`CREATE TABLE new AS TABLE messages; CREATE INDEX ON new (conversation_id); ALTER TABLE messages RENAME TO old; ALTER TABLE new RENAME TO messages`,
	}
	for name, test := range map[string]struct {
		set     Set
		create  string
		changes []string
	}{
		"an index": {Set{Table: "messages"}, ``, tables},
		"a list":   {Set{Query: "SELECT * FROM messages"}, ``, tables},
		"a view": {Set{Query: "SELECT * FROM outermost"}, `CREATE VIEW seen AS TABLE messages; CREATE VIEW outermost AS TABLE seen`,
			[]string{`INSERT INTO spare TABLE messages; CREATE OR REPLACE VIEW seen AS TABLE spare`}},
		"partitions": {Set{Table: "parted"}, `CREATE TABLE parted (LIKE messages) PARTITION BY LIST (role); ALTER TABLE parted ATTACH PARTITION messages DEFAULT`,
			[]string{`INSERT INTO spare TABLE messages; ALTER TABLE parted DETACH PARTITION messages; ALTER TABLE parted ATTACH PARTITION spare DEFAULT`}},
	} {
		for _, change := range test.changes {
			for read := range 2 {
				t.Run(fmt.Sprint(name, ", ", change[:8], ", pages read: ", 2*read), func(t *testing.T) {
					dsn := postgrestest.New(t)
					pgMany(t, dsn, conversations)
					pgExec(t, dsn, `CREATE TABLE spare (LIKE messages INCLUDING INDEXES); `+test.create)
					p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{test.set}, Page: 4, AllowSlow: true})
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

// TestPostgresNotRewritten: a view that was to be replaced, and was not, is read.
func TestPostgresNotRewritten(t *testing.T) {
	dsn := postgrestest.New(t)
	const conversations = 10
	pgMany(t, dsn, conversations)
	writer := pgConnect(t, dsn) // whose transaction is older, and goes on
	pgDo(t, writer, `CREATE TABLE other (LIKE messages)`, `BEGIN`, `INSERT INTO other TABLE messages`)
	pgExec(t, dsn, `CREATE VIEW seen AS TABLE messages`, `BEGIN; CREATE OR REPLACE VIEW seen AS TABLE other; ROLLBACK`)
	p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: pgTable("seen"), Page: 4, AllowSlow: true})
	p.policy.budget = 1
	checkMany(t, pgPages(t, pgFull(p), ""), conversations)
	pgExec(t, dsn, `BEGIN; SAVEPOINT before; CREATE OR REPLACE VIEW seen AS TABLE other; ROLLBACK TO before; INSERT INTO other TABLE messages; COMMIT`)
	checkMany(t, pgPages(t, pgFull(p), ""), conversations)
	pgExec(t, dsn, `BEGIN; SAVEPOINT before; CREATE OR REPLACE VIEW seen AS SELECT * FROM messages WHERE true; COMMIT`)
	checkMany(t, pgPages(t, pgFull(p), ""), conversations)
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
