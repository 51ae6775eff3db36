package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract"
)

// lastCheckpoint is that of the job.
func (c *chatTable) lastCheckpoint() (at Checkpoint) {
	c.Helper()
	err := WithState(c.Context(), c.execution().Spec, func(j *JobState) (err error) {
		at, err = j.Checkpoint(c.Context(), "")
		return err
	})
	if err != nil {
		c.Fatal(err)
	}
	return at
}

// marked changes what is recorded of the database.
func (c *chatTable) marked(source string) {
	c.Helper()
	err := WithLease(c.Context(), c.execution().Spec, quiet, func(ctx context.Context, l *Lease) error {
		return l.amend(ctx, func(at *Checkpoint) { at.Source = source })
	})
	if err != nil {
		c.Fatal(err)
	}
}

// refuses runs the job, plans it and checks it: each says that the database
// differs, and nothing is delivered or recorded.
func (c *chatTable) refuses(difference string) {
	c.Helper()
	events, at := c.events(), c.lastCheckpoint()
	errs := make(map[string]error)
	_, errs["run"] = Execute(c.Context(), c.execution())
	full := c.execution()
	full.Full = true
	_, errs["full"] = Execute(c.Context(), full)
	_, errs["plan"] = ExecutePlan(c.Context(), c.execution())
	Check(c.Context(), c.execution(), func(f CheckFinding) {
		if f.Check == "state" {
			errs["check"] = &Error{Exit: f.Exit, Err: errors.New(f.Text), Try: f.Try}
		}
	})
	for _, what := range []string{"run", "full", "plan", "check"} {
		var err *Error
		if !errors.As(errs[what], &err) || err.Exit != ExitDiffers || !strings.Contains(err.Error(), difference) || !strings.Contains(err.Try, "chatbackfill reset ") {
			c.Errorf("%s: %v, want %s", what, errs[what], difference)
		}
	}
	if diff := cmp.Diff(events, c.events()); diff != "" {
		c.Errorf("events\n%s", diff)
	}
	if diff := cmp.Diff(at, c.lastCheckpoint()); diff != "" {
		c.Errorf("checkpoint\n%s", diff)
	}
}

func (c *chatTable) reset() {
	c.Helper()
	err := WithLease(c.Context(), c.execution().Spec, quiet, func(ctx context.Context, l *Lease) error { return l.ResetPosition(ctx) })
	if err != nil {
		c.Fatal(err)
	}
}

// TestPostgresOtherDatabase: a job refuses a database that another has taken the
// place of, whether a pass was interrupted or ended, until its position is
// reset. It goes on with what the first one did not have.
func TestPostgresOtherDatabase(t *testing.T) {
	for name, limit := range map[string]int{"interrupted": 20, "ended": 0} {
		t.Run(name, func(t *testing.T) {
			c, other := newChatTable(t), newChatTable(t)
			rows := madeUpRows(60)
			for _, row := range rows {
				other.insert(row, noon)
				if row.Conversation != "c-7" {
					c.insert(row, noon)
				}
			}
			e := c.execution()
			e.Limit = limit
			for range 2 { // the same database is not refused
				if _, err := Execute(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
			if at := c.lastCheckpoint(); at.Done != (limit == 0) {
				t.Fatalf("the pass has ended: %v", at.Done)
			}

			c.dsn = other.dsn
			c.refuses("its oid is ")
			c.reset()
			c.run()
			other.run()
			c.wantEvents(other, "-one import +both databases")
		})
	}
}

// TestPostgresEarlierState: a job refuses a database that has gone back behind
// what it read, and the copy of it in another cluster.
func TestPostgresEarlierState(t *testing.T) {
	c := newChatTable(t)
	for _, row := range madeUpRows(20) {
		c.insert(row, noon)
	}
	c.run()
	var mark extract.PostgresMark
	if err := json.Unmarshal([]byte(c.lastCheckpoint().Source), &mark); err != nil {
		t.Fatal(err)
	}
	for difference, change := range map[string]func(*extract.PostgresMark){
		"its transactions have come to ":           func(m *extract.PostgresMark) { m.Transaction += 1 << 32 },
		"the system identifier of its cluster is ": func(m *extract.PostgresMark) { m.Cluster += "0" },
	} {
		changed := mark
		change(&changed)
		text, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		c.marked(string(text))
		c.refuses(difference)
	}
	c.reset()
	if s := c.run(); len(s.Sent) != 0 || s.Tally.RowCount() == 0 {
		t.Errorf("after the reset %d rows were read and sent again: %v", s.Tally.RowCount(), s.Sent)
	}
}

// TestPostgresUnmarked: what an older version of the program recorded says
// nothing of the database; the next pass records it.
func TestPostgresUnmarked(t *testing.T) {
	c := newChatTable(t)
	for _, row := range madeUpRows(20) {
		c.insert(row, noon)
	}
	c.run()
	events := c.events()
	c.marked("")
	c.run()
	if c.lastCheckpoint().Source == "" {
		t.Error("the next pass has not recorded the database")
	}
	if !slices.Equal(events, c.events()) {
		t.Error("events were sent again")
	}
}
