package jobs

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
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

// inBothStores tells a story with SQLite and with Postgres.
func inBothStores(t *testing.T, story func(*testing.T, *delivery)) {
	t.Run("sqlite", func(t *testing.T) { story(t, newDelivery(t)) })
	t.Run("postgres", func(t *testing.T) {
		d := newDelivery(t)
		d.extra = "state: " + postgrestest.New(t)
		story(t, d)
	})
}

// TestStoryOfARotatedKey: another key asks once, whatever was delivered is not
// sent again, and the store does not know the keys.
func TestStoryOfARotatedKey(t *testing.T) {
	want := wantEvents(t)
	inBothStores(t, func(t *testing.T, d *delivery) {
		d.server.RequireKey("right")
		for range 2 { // with a wrong key nothing is delivered: it may change
			if err := d.runWith(withKey("wrong")); ExitCode(err) != ExitRefused {
				t.Fatalf("with a wrong key: %v", err)
			}
		}
		half := func(e *Execution) { e.Limit = chats / 2 }
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
	want := wantEvents(t)
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
	want := wantEvents(t)
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
	want := wantEvents(t)
	d := newDelivery(t)
	d.extra = "state: " + postgrestest.New(t)
	limited := func(n int) func(*Execution) { return func(e *Execution) { e.Limit = n } }
	of := func(index, n int) func(*Execution) {
		return func(e *Execution) { e.Shard = extract.Shard{Index: index, Of: n} }
	}
	d.mustRun(unchanged, limited(chats/4))
	for i := range 4 {
		d.mustRun(unchanged, of(i, 4), limited(30))
	}
	before := len(d.server.Accepted())
	d.mustRun(unchanged, limited(chats/2))
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
	want := wantEvents(t)
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
