package chaos

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

const (
	// maxInFlight is how many events a run that is killed may send again.
	maxInFlight = 20_000
	// maxMegabytes is the memory that a process may use.
	maxMegabytes = 500
)

// check looks whether everything holds that must hold after every fault, now
// that a phase has come to its end with exit code 0:
//
//	I1  no event is missing     I2  none is there that must not be
//	I3  an id has one content   I4  what was sent twice was in flight
//	I5  checkpoints: see watch  I6  the accounts add up
//	I7  exit codes: see run     I8  nothing is left behind
//	I9  no secret was shown     I10 memory: see measure
func (r *rig) check() {
	r.Helper()
	r.checkAccounts()
	r.checkDelivery()
}

// checkDelivery is check without the accounts.
func (r *rig) checkDelivery() {
	r.Helper()
	r.compare(r.delivered())
	r.checkContents(r.server)
	r.checkDuplicates(r.server)
	r.checkLeftovers()
	r.checkSecrets()
	if r.Failed() {
		r.Fatalf("seed %d, %v", r.seed, r.combination)
	}
}

// compare: I1 and I2.
func (r *rig) compare(accepted map[string]segmenttest.Event) {
	r.Helper()
	missing, extra := 0, 0
	for chat, ids := range r.oracle.order {
		for _, id := range ids {
			e, ok := accepted[id]
			if !ok {
				if missing++; missing == 1 {
					r.Errorf("I1: missing, among others: %s of chat %q: %s", id, chat, r.oracle.expected[id])
				}
			} else if !sameEvent(e.JSON, r.oracle.expected[id]) {
				r.Fatalf("event %s of chat %q\n got %s\nwant %s", id, chat, e.JSON, r.oracle.expected[id])
			}
		}
	}
	for id, e := range accepted {
		if r.oracle.expected[id] == nil {
			if extra++; extra == 1 {
				r.Errorf("I2: not expected, among others: %s", e.JSON)
			}
		}
	}
	if missing+extra > 0 {
		r.Errorf("%d events accepted, %d missing, %d not expected", len(accepted), missing, extra)
	}
	if n := len(r.server.Dropped()); n > 0 {
		r.Errorf("%d events were sent that Segment drops", n)
	}
}

// sameEvent compares two texts of an event, whatever the order of their keys.
func sameEvent(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y map[string]any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// checkContents: I3.
func (r *rig) checkContents(server *segmenttest.Server) {
	r.Helper()
	first := make(map[string]json.RawMessage)
	for _, request := range server.Requests() {
		var body struct{ Batch []json.RawMessage }
		if err := json.Unmarshal(request.Body, &body); err != nil {
			continue // cut off by what the test does
		}
		for i, e := range body.Batch {
			id := request.IDs[i]
			if seen := first[id]; seen == nil {
				first[id] = e
			} else if !bytes.Equal(seen, e) {
				r.Errorf("I3: event %s was sent as\n%s\nand as\n%s", id, seen, e)
				return
			}
		}
	}
}

// checkDuplicates: I4.
func (r *rig) checkDuplicates(server *segmenttest.Server) {
	r.Helper()
	again := 0
	for e := range maps.Values(server.Accepted()) {
		again += e.Times() - 1
	}
	r.total.again = again
	if again > r.kills*maxInFlight+int(r.unsaid.Load()) {
		r.Errorf("I4: %d events arrived again, %d runs were killed, of %d events the answer was lost", again, r.kills, r.unsaid.Load())
	}
}

// checkAccounts: I6. The ledger has what was accepted, the rejects have what was
// held back, and the rows that the last pass read are all accounted for.
func (r *rig) checkAccounts() {
	r.Helper()
	if got, want := r.store.ledgerEntries(r.T), len(r.oracle.expected); got != want {
		r.Errorf("I6: the ledger has %d events, %d were accepted", got, want)
	}
	if got := r.store.rejected(r.T); !maps.Equal(got, r.oracle.rejected) {
		r.Errorf("I6: rejected are %s, want %s", sorted(got), sorted(r.oracle.rejected))
	}
	at, err := r.store.checkpoint()
	if err != nil {
		r.Fatal(err)
	}
	if !at.Done {
		r.Errorf("I6: the pass is not done: %+v", at)
	}
	if r.phase == 1 && at.Pass == 1 && !r.parted {
		if got := at.Tally.rows(); got != r.oracle.readRows {
			r.Errorf("I6: %d rows have an outcome, the source has %d: %v", got, r.oracle.readRows, at.Tally.Rows)
		}
		if got := at.Tally.Events["accepted"] + at.Tally.Events["delivered"]; got != len(r.oracle.expected) {
			r.Errorf("I6: the checkpoint counts %d events, want %d: %v", got, len(r.oracle.expected), at.Tally.Events)
		}
	}
	if last := r.store.lastRun(r.T); last.Exit != jobs.ExitDone {
		r.Errorf("I6: the last run is recorded with exit %d: %s", last.Exit, last.Error)
	}
}

// checkLeftovers: I8. Runs that were killed leave temporary files behind; one
// that comes to its end leaves none, theirs included.
func (r *rig) checkLeftovers() {
	r.Helper()
	err := filepath.WalkDir(r.tmp, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			r.Errorf("I8: left behind: %s", path)
		}
		return err
	})
	if err != nil {
		r.Error(err)
	}
	for _, db := range r.databases() {
		r.eventually("the end of all connections", func() bool {
			var n int
			err := db.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'chatbackfill%'`).Scan(&n)
			return err == nil && n == 0
		})
	}
}

// checkSecrets: I9.
func (r *rig) checkSecrets() {
	r.Helper()
	r.mu.Lock()
	seen := map[string]string{"what was printed": r.said.String()}
	r.mu.Unlock()
	seen["the state store"] = r.store.text(r.T)
	// What SQLite's files hold besides, deleted rows included.
	files, err := filepath.Glob(filepath.Join(r.dir, "state.db*"))
	if err != nil {
		r.Fatal(err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			r.Fatal(err)
		}
		seen[path] = string(data)
	}
	for where, text := range seen {
		for _, secret := range secrets {
			if i := strings.Index(text, secret); i >= 0 {
				r.Errorf("I9: %q is in %s: …%s…", secret, where, text[max(0, i-200):min(len(text), i+100)])
			}
		}
	}
}

// watch looks at the checkpoint again and again, until what it returns is
// called: I5. It never goes back, and everything before it was accepted, at
// every instant.
func (r *rig) watch() (stop func()) {
	r.Helper()
	order := r.inOrder()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var last checkpoint
		for {
			select {
			case <-done:
				return
			case <-time.After(15 * time.Millisecond):
			}
			// First the checkpoint, then what is accepted: that only grows.
			at, err := r.store.checkpoint()
			if err != nil || at.Pass == last.Pass && at.Position == last.Position {
				continue // there is none yet, or the store is what is broken
			}
			if !r.follows(at, last) || at.Pass > r.before && !r.covered(at, order) {
				return
			}
			last = at
		}
	}()
	return func() {
		r.Helper()
		close(done)
		<-ended
	}
}

func (r *rig) follows(at, last checkpoint) bool {
	if at.Pass < last.Pass || at.Pass == last.Pass && (before(at.Position, last.Position) || at.Upper != last.Upper) {
		r.Errorf("I5: seed %d: the checkpoint went from %+v to %+v", r.seed, last, at)
		return false
	}
	return true
}

// covered reports whether all events before the checkpoint were accepted.
func (r *rig) covered(at checkpoint, chats []string) bool {
	accepted := r.server.Accepted()
	for _, chat := range chats {
		if before(at.Position, r.positionOf(chat)) {
			return true
		}
		for _, id := range r.oracle.fresh[chat] {
			if _, ok := accepted[id]; !ok {
				r.Errorf("I5: seed %d: the checkpoint is at %q, event %s of chat %q was not accepted", r.seed, at.Position, id, chat)
				return false
			}
		}
	}
	return true
}

// inOrder are the chats of which the phase delivers anything, in the order in
// which the source is read.
func (r *rig) inOrder() []string {
	chats := slices.Collect(maps.Keys(r.oracle.fresh))
	slices.SortFunc(chats, func(a, b string) int {
		switch x, y := r.positionOf(a), r.positionOf(b); {
		case before(x, y):
			return -1
		case before(y, x):
			return 1
		}
		return 0
	})
	return chats
}
