//go:build unix

package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

func TestPostgresBehindPgBouncer(t *testing.T) {
	dsn := postgrestest.New(t)
	testState(t, newSchema(postgrestest.Pooler(t, dsn), dsn))
}

// TestPostgresManyBehindPgBouncer migrates, commits and reads from many pools at
// once over two sessions, which other programs use too.
func TestPostgresManyBehindPgBouncer(t *testing.T) {
	dsn := postgrestest.New(t)
	pooled := postgrestest.Pooler(t, dsn)
	atOnce(t, postgresRef(pooled), 20)
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() { shareSessions(t, pooled, fmt.Sprintf("job%d", i)) })
	}
	wg.Wait()
	// Another program's session is as it was.
	var path string
	other := connectBeside(t, pooled+"&default_query_exec_mode=exec")
	for range 10 {
		if err := other.QueryRow(t.Context(), `SELECT current_setting('search_path')`).Scan(&path); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(path, postgresSchema) {
			t.Fatalf("another program's search_path is %s", path)
		}
	}
}

func shareSessions(t *testing.T, dsn, name string) {
	ctx := context.Background()
	s, err := postgresRef(dsn).Open(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	j, err := s.Job(ctx, name, "label")
	if err != nil {
		t.Error(err)
		return
	}
	_, l, err := j.Acquire(ctx, "", quiet)
	if err != nil {
		t.Error(err)
		return
	}
	defer l.Release(ctx)
	for n := range 20 {
		at := Checkpoint{Pass: int64(n + 1), Tally: newCounts()}
		err := l.Commit(ctx, "run", commit{ledger: []ledgerEntry{{"c", 1, entryOf(uint64(n), 1)}}, due: map[string]extract.Time{"c": 1}, advance: &at})
		got, readErr := j.Delivered(ctx, []string{"c"})
		if err != nil || readErr != nil || len(got["c"].Events) != n+1 {
			t.Errorf("%s: %d events after %d commits: %v", name, len(got["c"].Events), n+1, errors.Join(err, readErr))
			return
		}
	}
}
