//go:build unix

package extract

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// TestPostgresAhead: a transcript says when the time of rows has come that are for
// a later pass, unless a later pass comes by them since they change later.
func TestPostgresAhead(t *testing.T) {
	dsn := postgrestest.New(t)
	bound := fmt.Sprintf("timestamptz '%s'", pgInstant(pgUpper))
	pgExec(t, dsn, `CREATE TABLE messages (conversation_id text, sent_at timestamptz, changed_at timestamptz, role text DEFAULT 'customer')`,
		`CREATE TABLE chats (conversation_id text, ended_at timestamptz, changed_at timestamptz)`,
		`INSERT INTO messages SELECT id, `+bound+` + sent, `+bound+` + changed FROM (VALUES
			('at once', interval '0', interval '-2 days'),
			('edited since', '1 hour', '0'), ('edited since', '-1 hour', '-1 hour'),
			('ended', '-2 hours', '-2 hours'),
			('ended one day', '-2 hours', '-2 hours'),
			('in part', '2 hours', '-2 days'), ('in part', '1 hour', '-2 days'), ('in part', '-1 hour', '-2 days'),
			('one day', '25 hours', '-2 days'),
			(NULL, '1 hour', '-2 days')) AS rows (id, sent, changed)`,
		`INSERT INTO chats VALUES ('ended', `+bound+` + '3 hours', `+bound+` - interval '1 hour'), ('ended one day', '9999-12-31', `+bound+` - interval '1 hour')`)
	type transcript struct {
		Messages, Rejects int
		Ahead             Time
	}
	for name, test := range map[string]struct {
		fields map[string]Field
		want   map[string]transcript
	}{
		"changed_at": {nil, map[string]transcript{
			"": {0, 1, 0}, "at once": {0, 0, pgUpper}, "edited since": {1, 0, 0}, "ended": {1, 0, pgUpper + 3*Time(time.Hour)}, "ended one day": {1, 0, 0},
			"in part": {1, 0, pgUpper + Time(time.Hour)}, "one day": {0, 0, pgUpper + 25*Time(time.Hour)},
		}},
		"every pass reads everything": {map[string]Field{"changed_at": {Column: "nothing", Optional: true}}, map[string]transcript{
			"": {0, 1, 0}, "edited since": {1, 0, 0}, "ended": {1, 0, 0}, "ended one day": {1, 0, 0}, "in part": {1, 0, 0},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{{Table: "messages", Fields: test.fields}}, Conversations: []Set{{Table: "chats", Fields: test.fields}}})
			got := make(map[string]transcript)
			for _, c := range pgPages(t, pgFull(p), "") {
				got[c.ConversationID] = transcript{len(c.Messages), len(c.Rejects), c.Ahead}
				for _, said := range c.Conversations {
					if said.EndedAt != 0 {
						t.Errorf("%s ended at %s", c.ConversationID, said.EndedAt)
					}
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
