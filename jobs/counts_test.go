package jobs

import (
	"testing"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// A reject that stands for many rows weighs as many.
func TestCountsWeighRejects(t *testing.T) {
	unread := extract.Reject{Stage: extract.StageRead, Set: extract.SetMessages, Locator: "a", Reason: extract.BadID, Rows: 500}
	built := &transform.Conversation{
		Rejected: transform.Held,
		Rejects: []extract.Reject{
			unread,
			{Stage: extract.StageRead, Set: extract.SetMessages, Locator: "b", Reason: extract.BadID},
			{Stage: extract.StageRebuild, Locator: "conversation", Reason: transform.Held, Rows: 7},
		},
	}
	c := newCounts()
	c.reject(built, nil)
	if c.RejectedRows != 501 || c.RejectedConversations != 1 {
		t.Errorf("%d rows, %d conversations are rejected, want 501 and 1", c.RejectedRows, c.RejectedConversations)
	}
	c = newCounts()
	c.reject(built, map[rejectKey]bool{rejectKeyOf(&unread): true})
	if c.RejectedRows != 1 {
		t.Errorf("%d rows are rejected besides those that were accepted, want 1", c.RejectedRows)
	}
}
