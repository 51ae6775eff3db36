package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

func (d *delivery) execution() Execution {
	return Execution{Spec: d.spec(), Stop: d.stop, Log: quiet, chunkEvents: d.chunk}
}

func (d *delivery) verify() (Verification, []Finding) {
	d.Helper()
	var export bytes.Buffer
	v, err := ExecuteVerify(d.Context(), d.execution(), &export)
	if err != nil {
		d.Fatal(err)
	}
	var found []Finding
	for decoder := json.NewDecoder(&export); decoder.More(); {
		var f Finding
		if err := decoder.Decode(&f); err != nil {
			d.Fatal(err)
		}
		found = append(found, f)
	}
	return v, found
}

// tamper changes the ledger behind the program's back.
func (d *delivery) tamper(query string, args ...any) {
	d.Helper()
	d.state(func(j *JobState) {
		if _, err := j.db.ExecContext(d.Context(), query, args...); err != nil {
			d.Fatal(err)
		}
	})
}

func TestVerifyOK(t *testing.T) {
	d := newDelivery(t)
	if v, _ := d.verify(); v.Counts[Missing] == 0 || ExitCode(v.Err()) != ExitVerify {
		t.Errorf("before anything was delivered: %v, %v", v.Counts, v.Err())
	}
	if _, err := d.run(); err != nil {
		t.Fatal(err)
	}
	v, found := d.verify()
	if len(v.Counts) > 0 || len(found) > 0 || v.Err() != nil || v.Events != len(d.server.Accepted()) {
		t.Errorf("after a run: %+v, %v", v, found)
	}
}

// TestVerifyFindsPlantedLoss takes a conversation's last entry out of the
// ledger, changes the hash of another's, and adds conversations and events that
// the source does not have.
func TestVerifyFindsPlantedLoss(t *testing.T) {
	d := newDelivery(t)
	if _, err := d.run(); err != nil {
		t.Fatal(err)
	}
	var victims []string
	entries := make(map[string][]byte)
	d.state(func(j *JobState) {
		rows, err := j.db.QueryContext(t.Context(), `SELECT conversation, entries FROM ledger ORDER BY conversation LIMIT 3`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var id, blob []byte
			if err := rows.Scan(&id, &blob); err != nil {
				t.Fatal(err)
			}
			victims, entries[string(id)] = append(victims, string(id)), blob
		}
	})
	shorter, changed, longer := entries[victims[0]], slices.Clone(entries[victims[1]]), entries[victims[2]]
	changed[15] ^= 1
	const update = `UPDATE ledger SET entries = $2 WHERE conversation = $1`
	d.tamper(update, []byte(victims[0]), shorter[:len(shorter)-entrySize])
	d.tamper(update, []byte(victims[1]), changed)
	d.tamper(update, []byte(victims[2]), append(entryOf(1, 2), longer...))
	d.tamper(`INSERT INTO ledger (job_id, hash, conversation, start, entries) VALUES (1, conversation_hash($1), $1, 5, $2)`, []byte("nobody"), entryOf(3, 4))
	v, found := d.verify()
	want := map[Discrepancy]int{Missing: 1, Changed: 1, Extra: 1, Gone: 1}
	if diff := cmp.Diff(want, v.Counts); diff != "" {
		t.Fatalf("findings (-want +got)\n%s", diff)
	}
	for _, f := range found {
		wantID := map[Discrepancy]string{Missing: victims[0], Changed: victims[1], Extra: victims[2], Gone: "nobody"}[f.Problem]
		if f.ConversationID != wantID {
			t.Errorf("finding %+v, want conversation %s", f, wantID)
		}
		if _, known := d.server.Accepted()[f.MessageID]; f.MessageID != "" && !known {
			t.Errorf("finding %+v is of no event that was accepted", f)
		}
	}
	if ExitCode(v.Err()) != ExitVerify {
		t.Errorf("exit %d: %v", ExitCode(v.Err()), v.Err())
	}

	// A full run sends what is missing, and a resend what has changed; no others.
	before := sendings(d)
	e := d.execution()
	e.Full = true
	if _, err := Execute(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	e = d.execution()
	e.Resend, e.Select = ResendChanged, &Selection{}
	if _, err := Execute(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	after := sendings(d)
	maps.DeleteFunc(after, func(id string, n int) bool { return n == before[id] })
	var again []string
	for _, f := range found {
		if f.MessageID != "" {
			again = append(again, f.MessageID)
		}
	}
	slices.Sort(again)
	if got := slices.Sorted(maps.Keys(after)); !slices.Equal(got, again) {
		t.Errorf("sent again %v, want %v", got, again)
	}
	if v, _ := d.verify(); v.Err() != nil {
		t.Errorf("after they were sent: %v", v.Err())
	}
}

func sendings(d *delivery) map[string]int {
	n := make(map[string]int)
	for id, e := range d.server.Accepted() {
		n[id] = e.Times()
	}
	return n
}

// TestSelections deliver parts of a job in any order; the job's own run then
// delivers the rest, and nothing is sent twice.
func TestSelections(t *testing.T) {
	want := wantEvents(t)
	d := newDelivery(t)
	var ids []string
	for _, e := range want {
		var event struct {
			Properties struct {
				ConversationID string `json:"conversation_id"`
			}
		}
		if err := json.Unmarshal([]byte(e), &event); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, event.Properties.ConversationID)
	}
	slices.Sort(ids)
	for _, part := range []*Selection{
		{Conversations: map[string]bool{ids[0]: true, ids[len(ids)/2]: true}},
		{Until: middle(t)},
	} {
		e := d.execution()
		e.Select = part
		summary, err := Execute(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(d.server.Accepted()); n == 0 || n >= len(want) || len(summary.Sent) == 0 {
			t.Errorf("%d of %d events accepted after %+v", n, len(want), part)
		}
		if at := d.checkpoint(); at.Position != "" || at.Pass != 0 {
			t.Errorf("it moved the checkpoint to %+v", at)
		}
	}
	// A few conversations at a time, by the job's own position.
	e := d.execution()
	e.Limit = 150
	for range 10 {
		if _, err := Execute(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if d.checkpoint().Done {
			break
		}
	}
	d.checkAccepted(want)
	if n := len(d.server.Duplicates()); n > 0 {
		t.Errorf("%d events arrived twice", n)
	}
}

// TestSelectionWithoutLedger: nobody knows what of a part was delivered.
func TestSelectionWithoutLedger(t *testing.T) {
	d := newDelivery(t)
	d.extra = "ledger: off"
	e := d.execution()
	e.Select = &Selection{Until: 1}
	if _, err := Execute(t.Context(), e); ExitCode(err) != ExitUsage {
		t.Errorf("a run of a part: %v", err)
	}
	if _, err := ExecutePlan(t.Context(), e); ExitCode(err) != ExitUsage {
		t.Errorf("a plan of a part: %v", err)
	}
	if n := d.server.Events(); n > 0 {
		t.Errorf("%d events were sent", n)
	}
}

// middle is a time in the middle of the example export.
func middle(t *testing.T) extract.Time {
	t.Helper()
	var times []extract.Time
	d := newDelivery(t)
	err := WithLease(t.Context(), d.spec(), quiet, func(ctx context.Context, l *Lease) error {
		e := d.execution()
		r, err := e.newRun(ctx, l.job)
		if err != nil {
			return err
		}
		p, err := r.newPass(newPlanner(), Checkpoint{Tally: newCounts()})
		if err != nil {
			return err
		}
		p.examine = func(_ *extract.Transcript, c *transform.Conversation, _ Delivered) {
			for i := range c.Events {
				times = append(times, c.Events[i].Timestamp)
			}
		}
		return p.read(ctx, "")
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(times)
	return times[len(times)/2]
}
