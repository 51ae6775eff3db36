//go:build unix

package extract

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// TestPostgresShards holds for ids of any kind: every conversation comes from
// the shard that has it, and rows of no conversation from one.
func TestPostgresShards(t *testing.T) {
	dsn := postgrestest.New(t)
	pgExec(t, dsn, pgEmpty, `ALTER TABLE messages ALTER conversation_id TYPE text`, `INSERT INTO messages SELECT 'c' || i % 40 || 'é', '2025-01-01', '2025-01-01', 'agent', i FROM generate_series(1, 100) AS i`,
		`INSERT INTO messages VALUES (NULL, '2025-01-01', NULL, 'agent'), ('', '2025-01-01', NULL, 'agent'), (E'x\x1f', '2025-01-01', NULL, 'agent')`,
		`CREATE TABLE numbers AS SELECT (i % 9)::numeric(9, 2) AS conversation_id, sent_at, role FROM messages, generate_series(1, 100) AS i WHERE conversation_id = 'c1é'`)
	for _, set := range []Set{
		{Table: "messages"},
		{Table: "messages", Fields: map[string]Field{"conversation_id": {Prefix: "chat-"}}},
		{Query: "TABLE messages"},
		{Table: "numbers"},
	} {
		p := pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{set}})
		whole := pgPages(t, pgFull(p), "")
		var parts []Transcript
		for i := range 3 {
			shard := Shard{Index: i, Of: 3}
			for _, pass := range []Pass{{Full: true}, {Lower: 1, Due: []string{"c1é", "none"}}} {
				pass.Upper, pass.Shard = pgUpper, shard
				all := pgPages(t, p.Pass(pass), "")
				for _, c := range all {
					if c.ConversationID != "" && !shard.Has(c.ConversationID) {
						t.Errorf("conversation %s came from shard %d", c.ConversationID, i)
					}
				}
				if pass.Full {
					parts = append(parts, all...)
				}
			}
		}
		if diff := cmp.Diff(together(whole), together(parts)); diff != "" {
			t.Errorf("%+v: (-whole +shards)\n%s", set, diff)
		}
	}
}

// together is what transcripts hold, however they are divided.
func together(all []Transcript) (rows []string) {
	for _, t := range all {
		for _, m := range t.Messages {
			rows = append(rows, fmt.Sprint(t.ConversationID, m.MessageID))
		}
		for _, r := range t.Rejects {
			rows = append(rows, fmt.Sprint(t.ConversationID, r.Error()))
		}
	}
	slices.Sort(rows)
	return rows
}
