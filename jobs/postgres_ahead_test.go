package jobs

import (
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// TestPostgresSentAhead: rows that were sent by a clock that is ahead are delivered
// once their time has come, though nothing has changed since then, and once only.
func TestPostgresSentAhead(t *testing.T) {
	c := newChatTable(t)
	open, err := c.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Rollback()
	var bound time.Time // of the run, which the transaction holds back
	if err := open.QueryRowContext(t.Context(), `SELECT now()`).Scan(&bound); err != nil {
		t.Fatal(err)
	}
	insert := func(conversation, id string, sent time.Time) {
		c.exec(insertRow, conversation, id, sent, noon, "customer", "message", "u1", id)
	}
	insert("grown", "1", noon)
	insert("grown", "2", bound)
	insert("grown", "3", bound.Add(12*time.Hour))
	insert("new", "1", bound)
	insert("ahead", "1", bound.Add(12*time.Hour))
	if s := c.run(); s.Due != 3 || s.Sent[transform.Sent] != 1 {
		t.Errorf("%d conversations are to be looked at again, sent %v: want 3, and the message below the bound", s.Due, s.Sent)
	}
	if err := open.Rollback(); err != nil {
		t.Fatal(err)
	}
	part := c.execution()
	part.Select = &Selection{From: extract.TimeOf(noon), Until: extract.TimeOf(noon.Add(time.Hour))}
	if s, err := Execute(t.Context(), part); err != nil || s.Due != 3 || len(s.Sent) > 0 {
		t.Errorf("a run for an hour that was delivered: %d are to be looked at again, sent %v, error %v", s.Due, s.Sent, err)
	}
	if s := c.run(); s.Due != 2 || s.Sent[transform.Sent] != 2 || s.Sent[transform.Started] != 1 {
		t.Errorf("%d conversations are to be looked at again, sent %v: want 2, and the messages at the bound before", s.Due, s.Sent)
	}
	if s := c.run(); s.Due != 2 || s.Tally.Conversations > 0 || len(s.Sent) > 0 {
		t.Errorf("%d conversations were looked at again, sent %v", s.Tally.Conversations, s.Sent)
	}
}
