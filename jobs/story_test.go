package jobs

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
	"github.com/chatbackfill/chatbackfill/transform"
)

// Stories of a job over the years: something changes, and the sets of ids that
// Segment has accepted before and after are exact.

// change is what changes in a job file.
type change func(*Spec)

func withKey(key string) change {
	return func(s *Spec) { s.Destination.Segment.WriteKey = NewSecret(key) }
}

func withLabel(label string) change {
	return func(s *Spec) { s.Destination.Segment.Source = label }
}

func unchanged(*Spec) {}

// runWith runs the job once with a changed job file and options.
func (d *delivery) runWith(c change, options ...func(*Execution)) error {
	d.Helper()
	e := d.execution()
	c(e.Spec)
	for _, option := range options {
		option(&e)
	}
	_, err := Execute(d.Context(), e)
	return err
}

func (d *delivery) mustRun(c change, options ...func(*Execution)) {
	d.Helper()
	if err := d.runWith(c, options...); err != nil {
		d.Fatal(err)
	}
}

func (d *delivery) accept(c change) {
	d.Helper()
	spec := d.spec()
	c(spec)
	err := WithLease(d.Context(), spec, quiet, func(ctx context.Context, l *Lease) error { return l.Accept(ctx, spec) })
	if err != nil {
		d.Fatal(err)
	}
}

// asks runs the job with a changed job file, which is to stop it.
func (d *delivery) asks(c change, about string) {
	d.Helper()
	before := d.server.Events()
	err := d.runWith(c)
	if ExitCode(err) != ExitDiffers || !strings.Contains(err.Error(), about) {
		d.Errorf("exit %d, want %d and something about %s: %v", ExitCode(err), ExitDiffers, about, err)
	}
	if d.server.Events() != before {
		d.Error("it sent something all the same")
	}
}

// checkOnce checks what was accepted, and that none of it arrived twice.
func (d *delivery) checkOnce(want map[string]string) {
	d.Helper()
	d.checkAccepted(want)
	if n := len(d.server.Duplicates()); n > 0 {
		d.Errorf("%d events arrived twice", n)
	}
}

// storyChats are conversations enough for a story: customers with several, some
// of them held back.
const storyChats = 150

// inBothStores tells a story with SQLite and with Postgres.
func inBothStores(t *testing.T, story func(*testing.T, *delivery)) {
	t.Run("sqlite", func(t *testing.T) { story(t, newDeliveryOf(t, storyChats)) })
	t.Run("postgres", func(t *testing.T) {
		d := newDeliveryOf(t, storyChats)
		d.extra = "state: " + postgrestest.New(t)
		story(t, d)
	})
}

// TestStoryOfARotatedKey: another key asks once, whatever was delivered is not
// sent again, and the store does not know the keys.
func TestStoryOfARotatedKey(t *testing.T) {
	want := wantEventsOf(t, storyChats)
	inBothStores(t, func(t *testing.T, d *delivery) {
		d.server.RequireKey("right")
		for range 2 { // with a wrong key nothing is delivered: it may change
			if err := d.runWith(withKey("wrong")); ExitCode(err) != ExitRefused {
				t.Fatalf("with a wrong key: %v", err)
			}
		}
		half := func(e *Execution) { e.Limit = storyChats / 2 }
		d.mustRun(withKey("right"), half)
		before := events(d.server)
		if len(before) == 0 || len(before) == len(want) {
			t.Fatalf("%d of %d events accepted after half", len(before), len(want))
		}
		d.server.RequireKey("rotated")
		d.asks(withKey("rotated"), "key: destination.segment.write_key")
		d.asks(withKey("rotated"), "key: destination.segment.write_key")
		d.checkOnce(before)
		d.accept(withKey("rotated"))
		d.mustRun(withKey("rotated"))
		d.checkOnce(want)
		d.asks(withKey("right"), "key: destination.segment.write_key")
		d.state(func(j *JobState) {
			f, err := j.keyFingerprint(t.Context())
			if err != nil || !f.of(NewSecret("rotated")) || f.of(NewSecret("right")) {
				t.Errorf("fingerprint %q, %v", f, err)
			}
		})
	})
}

// TestStoryOfARehearsal: another label and key have their own state and ids. The
// key of the real thing under another label asks.
func TestStoryOfARehearsal(t *testing.T) {
	want := wantEventsOf(t, storyChats)
	inBothStores(t, func(t *testing.T, d *delivery) {
		rehearsal := func(s *Spec) { withLabel("rehearsal")(s); withKey("another key")(s) }
		d.mustRun(rehearsal)
		first := events(d.server)
		if len(first) != len(want) {
			t.Fatalf("%d events accepted in the rehearsal, want %d", len(first), len(want))
		}
		d.mustRun(unchanged)
		both := maps.Clone(first)
		maps.Copy(both, want)
		if len(both) != 2*len(want) {
			t.Fatalf("%d ids of two labels, want %d", len(both), 2*len(want))
		}
		d.checkOnce(both)
		d.mustRun(rehearsal)
		d.mustRun(unchanged)
		d.checkOnce(both)
		d.asks(withLabel("once more"), "that of label test")
		d.accept(withLabel("once more"))
		d.mustRun(withLabel("once more"))
		if n := len(d.server.Accepted()); n != 3*len(want) {
			t.Errorf("%d events accepted after a third label was accepted, want %d", n, 3*len(want))
		}
	})
}

// TestStoryOfChangedSettings changes a setting of each class.
func TestStoryOfChangedSettings(t *testing.T) {
	want := wantEventsOf(t, storyChats)
	inBothStores(t, func(t *testing.T, d *delivery) {
		d.mustRun(unchanged)
		d.mustRun(func(s *Spec) { s.Destination.Segment.Rate, s.Drain = 400_000, 1 })
		content := func(s *Spec) { s.Conversation.MessageBody = "omit" }
		d.asks(content, "content: conversation.message_body")
		d.accept(content)
		d.mustRun(content)
		d.checkOnce(want)
		reading := func(s *Spec) { content(s); s.Source.Parquet.Messages[0].Where = `id != -1` }
		d.asks(reading, "reading: source.parquet.messages[0].where")
		d.accept(reading)
		d.mustRun(reading)
		d.checkOnce(want)
		ids := func(s *Spec) { reading(s); s.Namespace = "other" }
		d.asks(ids, "ids: namespace")
		d.accept(ids)
		d.mustRun(ids)
		d.checkOnce(want)
	})
}

// TestStoryOfShards goes from one process to several and back, with half of the
// work done each time, and with settings accepted between.
func TestStoryOfShards(t *testing.T) {
	want := wantEventsOf(t, storyChats)
	d := newDeliveryOf(t, storyChats)
	d.extra = "state: " + postgrestest.New(t)
	limited := func(n int) func(*Execution) { return func(e *Execution) { e.Limit = n } }
	of := func(index, n int) func(*Execution) {
		return func(e *Execution) { e.Shard = extract.Shard{Index: index, Of: n} }
	}
	d.mustRun(unchanged, limited(storyChats/4))
	for i := range 4 {
		d.mustRun(unchanged, of(i, 4), limited(30))
	}
	before := len(d.server.Accepted())
	d.mustRun(unchanged, limited(storyChats/2))
	if n := len(d.server.Accepted()); n <= before || n >= len(want) {
		t.Errorf("%d events accepted by one process, %d after several", n, before)
	}
	for i := range 4 {
		d.mustRun(unchanged, of(i, 4))
	}
	d.checkOnce(want)
	d.mustRun(unchanged)
	d.checkOnce(want)

	// What is accepted between is minded by all shards.
	source := func(s *Spec) { s.Source.Parquet.Messages[0].Where = `id != -1` }
	for i := range 4 {
		err := d.runWith(source, of(i, 4))
		if ExitCode(err) != ExitDiffers {
			t.Errorf("shard %d with other settings: %v", i, err)
		}
	}
	d.accept(source)
	d.state(func(j *JobState) {
		checkpoints, err := j.checkpoints(t.Context())
		if err != nil || len(checkpoints) != 5 {
			t.Errorf("%d checkpoints, %v", len(checkpoints), err)
		}
		for shard, at := range checkpoints {
			if at.Source != "" || at.Upper != 0 {
				t.Errorf("shard %q goes on from %+v after settings were accepted", shard, at)
			}
		}
	})
	for i := range 4 {
		d.mustRun(source, of(i, 4))
	}
	d.checkOnce(want)
}

// TestStoryOfAMappingFix: conversations that a wrong mapping holds back are sent
// once it is right and accepted, each event once.
func TestStoryOfAMappingFix(t *testing.T) {
	want := wantEventsOf(t, storyChats)
	inBothStores(t, func(t *testing.T, d *delivery) {
		wrong := func(s *Spec) {
			s.Rejects.Max = RejectsMax{Rows: 1, Conversations: 1}
			delete(s.Source.Parquet.Messages[0].Fields["role"].Values, "lead")
		}
		d.mustRun(wrong)
		before := events(d.server)
		held := 0
		for _, r := range d.rejects() {
			if r.Reason == "held" {
				held++
			}
		}
		if held == 0 || len(before) == 0 || len(before) >= len(want) {
			t.Fatalf("%d conversations held, %d of %d events accepted", held, len(before), len(want))
		}
		d.checkOnce(before)
		d.asks(unchanged, "content: source.parquet.messages[0].fields.role")
		d.accept(unchanged)
		d.mustRun(unchanged)
		d.checkOnce(want)
		for id, e := range before {
			if want[id] != e {
				t.Fatalf("event %s was sent otherwise before: %s", id, e)
			}
		}
		if open := d.rejects(); slices.ContainsFunc(open, func(r StoredReject) bool { return r.Reason == "held" || r.Reason == "unknown_role" }) {
			t.Errorf("%d rejects are open after the fix", len(open))
		}
		d.mustRun(unchanged, func(e *Execution) { e.Full = true })
		d.checkOnce(want)
	})
}

// customers returns the ids of the events of each user, and each user's
// conversations.
func customers(t *testing.T, all map[string]string) (ids map[string][]string, conversations map[string]map[string]bool) {
	t.Helper()
	ids, conversations = make(map[string][]string), make(map[string]map[string]bool)
	for id, encoded := range all {
		var e struct {
			UserID     string
			Properties struct {
				Conversation string `json:"conversation_id"`
			}
		}
		if err := json.Unmarshal([]byte(encoded), &e); err != nil {
			t.Fatal(err)
		}
		if e.UserID == "" {
			continue
		}
		ids[e.UserID] = append(ids[e.UserID], id)
		if conversations[e.UserID] == nil {
			conversations[e.UserID] = make(map[string]bool)
		}
		conversations[e.UserID][e.Properties.Conversation] = true
	}
	return ids, conversations
}

// TestStoryOfADeletionRequest: half way through an import a customer wants to be
// forgotten. What was sent of them is listed, the rest never is.
func TestStoryOfADeletionRequest(t *testing.T) {
	want := wantEventsOf(t, storyChats)
	ids, conversations := customers(t, want)
	inBothStores(t, func(t *testing.T, d *delivery) {
		bad := func(s *Spec) {
			s.Rejects = RejectsSpec{Scope: "conversation", Max: RejectsMax{Rows: 1, Conversations: 1}, KeepPayload: true}
			delete(s.Source.Parquet.Messages[0].Fields["role"].Values, "lead")
		}
		d.mustRun(bad)
		before := events(d.server)
		user := heldCustomer(t, d, conversations)
		spec := d.spec()
		bad(spec)
		var found Forgotten
		err := ExecuteForget(t.Context(), Execution{Spec: spec, Log: quiet}, Subjects{UserIDs: []string{user}}, func(f Forgotten) error {
			found = f
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var listed []string
		for _, c := range found.Conversations {
			for _, e := range c.Events {
				listed = append(listed, e.MessageID)
			}
			if !conversations[user][c.ID] || c.Unknown != 0 {
				t.Errorf("conversation %+v is none of %s", c, user)
			}
		}
		sent := slices.DeleteFunc(slices.Clone(ids[user]), func(id string) bool { _, ok := before[id]; return !ok })
		slices.Sort(listed)
		slices.Sort(sent)
		if !slices.Equal(listed, sent) || found.Events != len(sent) || len(sent) == 0 || found.Rejects == 0 {
			t.Errorf("found %d events, %d rejects; want %d, some", len(listed), found.Rejects, len(sent))
		}
		for _, r := range d.rejects() {
			if conversations[user][r.ConversationID] {
				t.Errorf("reject %d of conversation %s is still there", r.ID, r.ConversationID)
			}
		}

		// The mapping is mended, but nothing of the customer is sent any more.
		d.accept(unchanged)
		d.mustRun(unchanged)
		left := maps.Clone(want)
		for _, id := range ids[user] {
			if _, was := before[id]; !was {
				delete(left, id)
			}
		}
		d.checkOnce(left)
		d.mustRun(unchanged, func(e *Execution) { e.Full = true })
		d.mustRun(unchanged, func(e *Execution) { e.Resend, e.Select = ResendAll, &Selection{Conversations: conversations[user]} })
		d.checkOnce(left)
		v, _ := d.verify()
		if v.Err() != nil || v.Counts[Suppressed] != len(sent) {
			t.Errorf("verify counts %v, want %d suppressed: %v", v.Counts, len(sent), v.Err())
		}

		// A rehearsal of the same job knows too.
		d.mustRun(func(s *Spec) { withLabel("rehearsal")(s); withKey("another")(s) })
		for id, e := range d.server.Accepted() {
			if _, real := want[id]; !real && strings.Contains(string(e.JSON), `"userId":"`+user+`"`) {
				t.Fatalf("event %s of %s was sent under another label", id, user)
			}
		}
	})
}

// TestStoryOfASuppressFile: a customer who is added to the job's file between a
// run that was interrupted and the one that resumes it is left out by that.
func TestStoryOfASuppressFile(t *testing.T) {
	want := wantEventsOf(t, storyChats)
	ids, _ := customers(t, want)
	inBothStores(t, func(t *testing.T, d *delivery) {
		file := filepath.Join(d.dir, "suppress.txt")
		write := func(lines ...string) {
			if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		listed := func(s *Spec) { s.Conversation.Suppress = file }
		write()
		d.mustRun(listed, func(e *Execution) { e.Limit = storyChats / 2 })
		before := events(d.server)
		var late []string // users of whom nothing was sent so far
		for _, user := range slices.Sorted(maps.Keys(ids)) {
			if !slices.ContainsFunc(ids[user], func(id string) bool { return before[id] != "" }) {
				late = append(late, user)
			}
		}
		if len(late) < 2 {
			t.Fatalf("%d users come in the second half", len(late))
		}
		hash := subjectOf(late[1])
		write(late[0], "sha256:"+hex.EncodeToString(hash[:]))
		d.mustRun(listed)
		left := maps.Clone(want)
		for _, user := range late[:2] {
			for _, id := range ids[user] {
				delete(left, id)
			}
		}
		d.checkOnce(left)
	})
}

// heldCustomer returns a user with several conversations, one of which is held
// back, and one of which was sent.
func heldCustomer(t *testing.T, d *delivery, conversations map[string]map[string]bool) string {
	t.Helper()
	held := make(map[string]bool)
	for _, r := range d.rejects() {
		held[r.ConversationID] = true
	}
	for _, user := range slices.Sorted(maps.Keys(conversations)) {
		n := 0
		for id := range conversations[user] {
			if held[id] {
				n++
			}
		}
		if n > 0 && n < len(conversations[user]) {
			return user
		}
	}
	t.Fatal("no user has a conversation that is held and one that is not")
	return ""
}

// TestStoryOfADeletionErases: what a reject kept of a customer is in no file of
// the store afterwards.
func TestStoryOfADeletionErases(t *testing.T) {
	d := newDeliveryOf(t, storyChats)
	bad := func(s *Spec) {
		s.Rejects = RejectsSpec{Scope: "conversation", Max: RejectsMax{Rows: 1, Conversations: 1}, KeepPayload: true}
		delete(s.Source.Parquet.Messages[0].Fields["role"].Values, "lead")
	}
	d.mustRun(bad)
	payload := ""
	who := Subjects{}
	for _, r := range d.rejects() {
		if len(r.Payload) > len(payload) {
			payload, who.Conversations = r.Payload, []string{r.ConversationID}
		}
	}
	stored := func() (all []byte) {
		files, err := filepath.Glob(filepath.Join(d.dir, "*.state.db*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, data...)
		}
		return all
	}
	secret := []byte(payload[len(payload)/3 : 2*len(payload)/3])
	if !bytes.Contains(stored(), secret) {
		t.Fatalf("the payload %q is not in the store", payload)
	}
	spec := d.spec()
	bad(spec)
	err := ExecuteForget(t.Context(), Execution{Spec: spec, Log: quiet}, who, func(f Forgotten) error {
		if len(f.Conversations) != 1 || f.Rejects == 0 {
			t.Errorf("found %+v", f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(stored(), secret) {
		t.Error("the payload is still in the store")
	}
	d.accept(unchanged)
	d.mustRun(unchanged)
	for id, e := range events(d.server) {
		if strings.Contains(e, `"conversation_id":"`+who.Conversations[0]+`"`) {
			t.Fatalf("event %s of the conversation was sent", id)
		}
	}
}

// TestStoryOfARevision: what has changed is sent again under new ids, once, and
// nothing after that.
func TestStoryOfARevision(t *testing.T) {
	want := wantEventsOf(t, storyChats)
	inBothStores(t, func(t *testing.T, d *delivery) {
		d.mustRun(unchanged)
		omit := func(s *Spec) { s.Conversation.MessageBody = "omit" }
		d.accept(omit)
		resend := func(revision int) func(*Execution) {
			return func(e *Execution) { e.Resend, e.Revision, e.Select = ResendChanged, revision, &Selection{} }
		}
		both := maps.Clone(want)
		changed := 0
		for id, e := range want {
			if !strings.Contains(e, `"message_body":`) {
				continue
			}
			changed++
			plain, _ := transform.ParseID(id)
			both[plain.Revised(2).String()] = ""
		}
		if changed == 0 || changed == len(want) {
			t.Fatalf("%d of %d events have a body", changed, len(want))
		}
		d.mustRun(omit, resend(2))
		if diff := cmp.Diff(slices.Sorted(maps.Keys(both)), d.server.IDs()); diff != "" {
			t.Errorf("ids (-want +got)\n%s", diff)
		}
		for id, e := range d.server.Accepted() {
			if _, old := want[id]; !old && (strings.Contains(string(e.JSON), "message_body") || !strings.Contains(string(e.JSON), id)) {
				t.Fatalf("revised event %s", e.JSON)
			}
		}
		d.mustRun(omit)
		d.mustRun(omit, func(e *Execution) { e.Full = true })
		d.mustRun(omit, resend(2))
		d.mustRun(omit, resend(3))
		d.state(func(j *JobState) {
			if r, err := j.Remembered(t.Context()); err != nil || r.Events != len(want) {
				t.Errorf("the ledger has %d events, want %d: %v", r.Events, len(want), err)
			}
		})
		if n := len(d.server.Duplicates()); n > 0 || len(d.server.Accepted()) != len(both) {
			t.Errorf("%d events arrived twice, %d were accepted, want %d", n, len(d.server.Accepted()), len(both))
		}
		spec := d.spec()
		omit(spec)
		if v, err := ExecuteVerify(t.Context(), Execution{Spec: spec, Log: quiet}, nil); err != nil || v.Err() != nil || len(v.Counts) > 0 {
			t.Errorf("verify %v, %v, %v", v.Counts, v.Err(), err)
		}
	})
}

// TestStoryOfOneMonthAgain sends a range of time again, with the same ids.
func TestStoryOfOneMonthAgain(t *testing.T) {
	want := wantEventsOf(t, storyChats)
	from := middle(t)
	until := from.Add(30 * 24 * time.Hour)
	inBothStores(t, func(t *testing.T, d *delivery) {
		d.mustRun(unchanged)
		before := sendings(d)
		d.mustRun(unchanged, func(e *Execution) { e.Resend, e.Select = ResendAll, &Selection{From: from, Until: until} })
		var again []string
		for id, e := range want {
			var event struct{ Timestamp time.Time }
			if err := json.Unmarshal([]byte(e), &event); err != nil {
				t.Fatal(err)
			}
			if at := extract.TimeOf(event.Timestamp); at >= from && at < until {
				again = append(again, id)
			}
		}
		slices.Sort(again)
		after := sendings(d)
		maps.DeleteFunc(after, func(id string, n int) bool { return n == before[id] })
		if got := slices.Sorted(maps.Keys(after)); len(again) == 0 || len(again) == len(want) || !slices.Equal(got, again) {
			t.Errorf("%d events were sent again, want %d of %d", len(got), len(again), len(want))
		}
		d.checkAccepted(want)
		d.mustRun(unchanged, func(e *Execution) { e.Full = true })
		if got := sendings(d); !maps.EqualFunc(got, before, func(n, was int) bool { return n-was <= 1 }) {
			t.Error("a run after that sent some of it once more")
		}
	})
}
