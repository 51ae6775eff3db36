//go:build unix

package extract

import (
	"fmt"
	"testing"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// TestPostgresReadsAnew: a page that has to be read anew, or in smaller parts,
// takes those after it back, which were begun at its end.
func TestPostgresReadsAnew(t *testing.T) {
	dsn := postgrestest.New(t)
	const conversations = 60
	pgMany(t, dsn, conversations)
	for name, set := range map[string]Set{"an index": {Table: "messages"}, "a list": {Query: "SELECT * FROM messages"}} {
		for _, cause := range []error{errPageMoved, errPageTooLarge, errPageTooSlow} {
			t.Run(fmt.Sprint(name, ", ", cause), func(t *testing.T) {
				p := pgFull(pgOpen(t, PostgresConfig{DSN: dsn, Messages: []Set{set}, Page: 8, AllowSlow: true}))
				r := pgReader(t, p, p.After(""))
				began := 0
				all := pgRest(t, r, func(page []Transcript) {
					if began += len(page); began%3 > 0 || len(r.pages) == 0 {
						return
					}
					if err := r.ahead(t.Context()); err != nil {
						t.Fatal(err)
					}
					<-r.pages[0].ended
					r.pages[0].err = cause
				})
				checkMany(t, all, conversations)
			})
		}
	}
}

func TestReadKnow(t *testing.T) {
	read := &pgRead{listed: make(chan struct{})}
	for _, test := range []struct {
		ids  []string
		want bool
	}{{[]string{"a", "c"}, true}, {[]string{"a", "c"}, true}, {[]string{"a", "b", "c"}, false}} {
		if got := read.know(test.ids); got != test.want {
			t.Errorf("%v: %t", test.ids, got)
		}
	}
	<-read.listed
}
