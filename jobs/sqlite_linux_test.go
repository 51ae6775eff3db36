package jobs

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSQLiteKeepsStatementsInMemory: rows of the ledger that lie far apart are
// written without a temporary file.
func TestSQLiteKeepsStatementsInMemory(t *testing.T) {
	s := openTestSQLite(t)
	j := testJob(t, s, "apart")
	var all, apart []ledgerEntry
	for i := range 20_000 {
		e := ledgerEntry{fmt.Sprint(i), 1, entryOf(1, uint64(i))}
		if all = append(all, e); i%500 == 0 {
			apart = append(apart, e)
		}
	}
	for _, entries := range [][]ledgerEntry{all, apart} {
		if err := s.transact(t.Context(), func(tx *sql.Tx) error {
			if err := j.writeLedger(t.Context(), tx, entries); err != nil {
				return err
			}
			return openTemporary()
		}); err != nil {
			t.Error(err)
		}
	}
}

// openTemporary returns an error that names a temporary file of SQLite's that
// this process has open.
func openTemporary() error {
	open, err := filepath.Glob("/proc/self/fd/*")
	for _, fd := range open {
		if name, err := os.Readlink(fd); err == nil && strings.Contains(name, "etilqs_") {
			return fmt.Errorf("%s is open", name)
		}
	}
	return err
}
