package jobs

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

func TestParseShard(t *testing.T) {
	for text, want := range map[string]extract.Shard{"": {}, "0/1": {Index: 0, Of: 1}, "7/8": {Index: 7, Of: 8}} {
		if got, err := ParseShard(text); got != want || err != nil {
			t.Errorf("ParseShard(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"8/8", "-1/8", "1", "a/b", "1/0", "/", "0/99999999"} {
		if _, err := ParseShard(text); ExitCode(err) != ExitUsage {
			t.Errorf("ParseShard(%q): %v", text, err)
		}
	}
}

// TestShardsAreThoseOfSQL holds the division to what the documentation gives for
// Postgres.
func TestShardsAreThoseOfSQL(t *testing.T) {
	ref := StateRef{Postgres: NewSecret(postgrestest.New(t))}
	s, err := ref.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 200 {
		id := fmt.Sprintf("conversation %d ü", i*i)
		var want int
		err := s.db.QueryRowContext(t.Context(), `SELECT ('x' || substr(md5($1::text), 1, 8))::bit(32)::bigint % 7`, id).Scan(&want)
		if err != nil {
			t.Fatal(err)
		}
		for index := range 7 {
			if got := (extract.Shard{Index: index, Of: 7}).Has(id); got != (index == want) {
				t.Errorf("shard %d of 7 has %q: %v, in Postgres it is in %d", index, id, got, want)
			}
		}
	}
}

// TestShardsTogetherAreAll runs a job in shards of several divisions, one after
// the other: together they deliver everything, nothing twice, and a change of
// the division sends nothing again.
func TestShardsTogetherAreAll(t *testing.T) {
	want := wantEvents(t)
	d := newDelivery(t)
	d.extra = "state: " + postgrestest.New(t)
	for _, of := range []int{3, 2, 1} {
		for index := range of {
			summary, err := Execute(t.Context(), d.shard(index, of))
			if err != nil {
				t.Fatalf("shard %d/%d: %v", index, of, err)
			}
			n := 0
			for _, k := range summary.Sent {
				n += k
			}
			if of == 3 && (n == 0 || n > len(want)/2) || of < 3 && n > 0 {
				t.Errorf("shard %d/%d sent %d of %d events", index, of, n, len(want))
			}
		}
		d.checkAccepted(want)
		if t.Failed() {
			break
		}
	}
	if n := len(d.server.Duplicates()); n > 0 {
		t.Errorf("%d events arrived twice", n)
	}
}

// TestShardsWithoutLedger: nobody knows what another division has delivered.
func TestShardsWithoutLedger(t *testing.T) {
	d := newDelivery(t)
	d.extra = "ledger: off\nstate: " + postgrestest.New(t)
	if _, err := Execute(t.Context(), d.shard(0, 1)); err != nil {
		t.Fatal(err)
	}
	sent := d.server.Events()
	if _, err := Execute(t.Context(), d.shard(0, 2)); ExitCode(err) != ExitUsage {
		t.Errorf("a shard of another division: %v", err)
	}
	if n := d.server.Events(); n != sent {
		t.Errorf("%d events were sent again", n-sent)
	}
}

func TestShardsErr(t *testing.T) {
	d := newDelivery(t)
	e := d.shard(1, 2)
	if _, err := Execute(t.Context(), e); ExitCode(err) != ExitUsage || !strings.Contains(err.Error(), "SQLite") {
		t.Errorf("shards with SQLite: %v", err)
	}
	if _, err := shardPath(filepath.Join(d.dir, "events.ndjson"), e.Shard); ExitCode(err) != ExitUsage {
		t.Errorf("shards into one file: %v", err)
	}
	if path, err := shardPath("events-{shard}.ndjson", e.Shard); path != "events-1-of-2.ndjson" || err != nil {
		t.Errorf("shards into files of their own: %q, %v", path, err)
	}

	// Those of another division must have ended.
	d.extra = "state: " + postgrestest.New(t)
	state, err := d.spec().State.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	job, err := state.Job(t.Context(), "chats", "test")
	if err != nil {
		t.Fatal(err)
	}
	_, lease, err := job.Acquire(t.Context(), "0/3", quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release(t.Context())
	if _, err := Execute(t.Context(), d.shard(1, 2)); ExitCode(err) != ExitLeaseHeld {
		t.Errorf("a shard of two while one of three is running: %v", err)
	}
	if _, err := Execute(t.Context(), d.shard(1, 3)); err != nil {
		t.Errorf("another shard of three: %v", err)
	}
}

func (d *delivery) shard(index, of int) Execution {
	e := d.execution()
	e.Shard = extract.Shard{Index: index, Of: of}
	return e
}
