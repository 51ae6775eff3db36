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

// TestLedgerPlaces delivers in the order of ids and in that of hashes, and goes
// on in the other: a conversation keeps its place, and what is known of it.
func TestLedgerPlaces(t *testing.T) {
	for _, byID := range []bool{true, false} {
		s := openState(t, StateRef{SQLite: filepath.Join(t.TempDir(), "state.db")})
		j := testJob(t, s, "chat")
		deliver := func(key uint64, ids ...string) {
			t.Helper()
			var entries []ledgerEntry
			for _, id := range ids {
				entries = append(entries, ledgerEntry{id, 9, entryOf(key, key)})
			}
			if err := j.transact(t.Context(), func(tx *sql.Tx) error { return j.writeLedger(t.Context(), tx, entries) }); err != nil {
				t.Fatal(err)
			}
		}
		j.ReadsByID = byID
		deliver(1, "c", "a", "b")
		j.ReadsByID = !byID
		deliver(2, "b", "d")
		deliver(2, "b")
		if err := j.transact(t.Context(), func(tx *sql.Tx) error {
			return j.compactLedger(t.Context(), tx, []ledgerEntry{{conversation: "b"}})
		}); err != nil {
			t.Fatal(err)
		}

		var placed int
		if err := s.db.QueryRowContext(t.Context(), `SELECT count(*) FROM ledger WHERE hash = iif($1, 0, conversation_hash(conversation)) AND length(entries) <= 32`, byID).Scan(&placed); err != nil || placed != 4 {
			t.Errorf("by id: %v: %d of 4 conversations are in their place, %v", byID, placed, err)
		}
		want := map[string]Delivered{
			"a": {Start: 9, Events: map[uint64]uint64{1: 1}}, "b": {Start: 9, Events: map[uint64]uint64{1: 1, 2: 2}},
			"c": {Start: 9, Events: map[uint64]uint64{1: 1}}, "d": {Start: 9, Events: map[uint64]uint64{2: 2}},
		}
		got, err := j.Delivered(t.Context(), []string{"a", "b", "c", "d", "e"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("by id: %v: %s", byID, diff)
		}
	}
}

// TestLedgerOfPostgres runs a job that reads Postgres: its ledger is in the order
// in which the conversations come.
func TestLedgerOfPostgres(t *testing.T) {
	c := newChatTable(t)
	for _, r := range madeUpRows(20) {
		c.insert(r, noon)
	}
	c.run()
	s := openState(t, c.execution().Spec.State)
	var found, byID int
	if err := s.db.QueryRowContext(t.Context(), `SELECT count(*), count(*) FILTER (WHERE hash = 0) FROM ledger`).Scan(&found, &byID); err != nil || found == 0 || byID != found {
		t.Errorf("of %d conversations %d are in the order of ids, %v", found, byID, err)
	}
}
