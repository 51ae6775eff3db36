//go:build unix

package extract

import (
	"net/url"
	"strings"
	"testing"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

func TestPostgresMarkDifference(t *testing.T) {
	earlier := PostgresMark{Cluster: "7", Database: 5, Transaction: 1_000_000}
	for _, c := range []struct {
		name string
		mark PostgresMark
		want string // empty: none
	}{
		{"OK the same", earlier, ""},
		{"OK later", PostgresMark{Cluster: "7", Database: 5, Transaction: 1 << 40}, ""},
		{"OK after a crash", PostgresMark{Cluster: "7", Database: 5, Transaction: 990_000}, ""},
		{"OK a standby that is behind", PostgresMark{Cluster: "7", Database: 5, Transaction: 99, Standby: true}, ""},
		{"OK nothing is shown", PostgresMark{}, ""},
		{"Err another cluster", PostgresMark{Cluster: "8", Database: 5, Transaction: 100}, "the system identifier of its cluster is 8, and was 7"},
		{"Err the standby of another cluster", PostgresMark{Cluster: "8", Database: 5, Transaction: 100, Standby: true}, "the system identifier of its cluster is 8, and was 7"},
		{"Err another database", PostgresMark{Cluster: "7", Database: 6, Transaction: 100}, "its oid is 6, and was 5"},
		{"Err an earlier state", PostgresMark{Cluster: "7", Database: 5, Transaction: 989_999}, "its transactions have come to 989999, and had come to 1000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.mark.Difference(earlier); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := c.mark.Difference(PostgresMark{}); got != "" {
				t.Errorf("from no mark: got %q", got)
			}
		})
	}
}

func TestPostgresMarkSince(t *testing.T) {
	earlier := PostgresMark{Cluster: "7", Database: 5, Transaction: 100}
	behind := PostgresMark{Transaction: 99, Standby: true}
	if got, want := behind.Since(earlier), (PostgresMark{Cluster: "7", Database: 5, Transaction: 100, Standby: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// pgMark is the mark of the database of a DSN.
func pgMark(t *testing.T, dsn string) PostgresMark {
	t.Helper()
	p, err := connectPostgres(t.Context(), PostgresConfig{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	m, err := p.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestPostgresMark: a role that may do nothing sees the mark, unless functions
// are kept from it.
func TestPostgresMark(t *testing.T) {
	dsn := postgrestest.New(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	role := "marker_" + strings.TrimPrefix(u.Path, "/test_")
	pgExec(t, dsn, `CREATE ROLE `+role+` LOGIN`)
	t.Cleanup(func() { pgExec(t, dsn, `DROP OWNED BY `+role, `DROP ROLE `+role) })
	u.User = url.User(role)

	first := pgMark(t, u.String())
	if first.Cluster == "" || first.Database == 0 || first.Transaction == 0 || first.Standby {
		t.Errorf("got %+v", first)
	}
	pgExec(t, dsn, `CREATE TABLE x ()`)
	later := pgMark(t, u.String())
	if later.Difference(first) != "" || later.Transaction <= first.Transaction {
		t.Errorf("got %+v, first it was %+v", later, first)
	}
	if twin := pgMark(t, postgrestest.New(t)); twin.Cluster != first.Cluster || twin.Database == first.Database {
		t.Errorf("another database of the cluster has %+v, this one %+v", twin, first)
	}

	pgExec(t, dsn, `REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC`)
	if got := pgMark(t, u.String()); got.Cluster != "" || got.Database != first.Database {
		t.Errorf("without the cluster: got %+v", got)
	}
	pgExec(t, dsn, `REVOKE EXECUTE ON FUNCTION txid_current_snapshot() FROM PUBLIC`)
	if got := pgMark(t, u.String()); got != (PostgresMark{}) {
		t.Errorf("with nothing shown: got %+v", got)
	}
}
