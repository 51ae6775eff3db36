package jobs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// TestHostClockIsWrong runs a job on a machine whose clock is three days ahead:
// what is read, and how long the lease lasts, is by the clocks of the databases.
func TestHostClockIsWrong(t *testing.T) {
	c := newChatTable(t)
	now := time.Now()
	for id, at := range map[string]time.Time{"past": now.Add(-time.Hour), "to come": now.Add(24 * time.Hour)} {
		c.insert(arrivedRow{Conversation: id, ID: id, SentAt: at.UnixMilli(), Role: "customer", Kind: "message", Author: "u1"}, at)
	}
	text := fmt.Appendf(nil, chatTableJob+"state: %s\n", c.dsn, postgrestest.New(t))
	spec, err := ParseSpec(filepath.Join(c.dir, "job.yaml"), text, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(now.Add(72 * time.Hour)))
		if _, err := Execute(t.Context(), Execution{Spec: spec, Log: quiet}); err != nil {
			t.Fatal(err)
		}
		err := withJob(t.Context(), spec, func(j *JobState) error {
			_, lease, err := j.Acquire(t.Context(), "", quiet)
			if err != nil {
				return err
			}
			var left int64
			err = j.db.QueryRowContext(t.Context(), `SELECT expires_at - `+j.dialect.now+` FROM leases WHERE job_id = $1`, j.id).Scan(&left)
			if err != nil || left <= 0 || left > leaseTTL.Milliseconds() {
				t.Errorf("the lease lasts for %d ms more, %v", left, err)
			}
			return lease.Release(context.WithoutCancel(t.Context()))
		})
		if err != nil {
			t.Error(err)
		}
	})
	if all := strings.Join(c.events(), ""); !strings.Contains(all, `"past"`) || strings.Contains(all, `"to come"`) {
		t.Errorf("events\n%s", all)
	}
}
