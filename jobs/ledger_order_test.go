package jobs

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract"
)

// TestMigrateLedgerOrder opens a store whose ledger is in the order of ids:
// nothing of it is lost, and what is delivered later is added to it.
func TestMigrateLedgerOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	old, err := connectSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := old.provider()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	ids := []string{"a", "b\x00\xff", "conv_1", "conv_2", "é"}
	for i, id := range ids {
		if err := old.transact(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.Exec(`INSERT INTO jobs (id, name, label, settings, created_at) VALUES (1, 'chat', 'label', '', 0) ON CONFLICT DO NOTHING`)
			if err == nil {
				_, err = tx.Exec(`INSERT INTO ledger (job_id, conversation, start, entries) VALUES (1, $1, $2, $3)`, []byte(id), i, entryOf(1, uint64(i)))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j := testJob(t, s, "chat")
	if err := j.transact(t.Context(), func(tx *sql.Tx) error {
		return j.writeLedger(t.Context(), tx, []ledgerEntry{{"conv_1", 9, entryOf(7, 8)}})
	}); err != nil {
		t.Fatal(err)
	}
	want := make(map[string]Delivered)
	for i, id := range ids {
		want[id] = Delivered{Start: extract.Time(i), Events: map[uint64]uint64{1: uint64(i)}}
	}
	want["conv_1"].Events[7] = 8
	got, err := j.Delivered(t.Context(), append(slices.Clone(ids), "unknown"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
