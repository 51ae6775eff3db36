package jobs

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chatbackfill/chatbackfill/extract"
)

// The states of a stored reject.
const (
	RejectOpen     = "open"     // it keeps a row or an event from being delivered
	RejectAccepted = "accepted" // somebody said that it is all right
	RejectDropped  = "dropped"  // somebody said that it is never to be delivered
	RejectClosed   = "closed"   // it was read clean, or delivered, since
)

// StoredReject is a reject as the state store has it.
type StoredReject struct {
	extract.Reject
	ID                  int64
	State               string
	FirstSeen, LastSeen time.Time
	FirstRun, LastRun   string
}

// writeRejects records rejects, those seen before anew, and closes those of
// conversations that are clean now, of which it keeps no content.
func (j *JobState) writeRejects(ctx context.Context, tx *sql.Tx, runID string, rejects []extract.Reject, clean []string) error {
	if j.dialect.bulk {
		return j.bulkRejects(ctx, tx, runID, rejects, clean)
	}
	for _, id := range clean {
		_, err := tx.ExecContext(ctx, `UPDATE rejects SET state = $3, payload = '' WHERE job_id = $1 AND conversation = $2 AND state = $4 AND stage <> $5`,
			j.id, []byte(id), RejectClosed, RejectOpen, extract.StageSend)
		if err != nil {
			return fmt.Errorf("close rejects of job %s: %w", j.Name, err)
		}
	}
	now := j.dialect.now
	for _, r := range rejects {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO rejects (job_id, locator, reason, stage, set_name, conversation, message, detail, payload, state,
				first_run, last_run, first_seen, last_seen)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, `+now+`, `+now+`)
			ON CONFLICT (job_id, locator, reason) DO UPDATE SET detail = excluded.detail, payload = excluded.payload,
				conversation = excluded.conversation, message = excluded.message,
				state = CASE WHEN rejects.state = '`+RejectClosed+`' THEN excluded.state ELSE rejects.state END,
				last_run = excluded.last_run, last_seen = excluded.last_seen`,
			j.id, storable(r.Locator), string(r.Reason), string(r.Stage), r.Set, []byte(r.ConversationID), []byte(r.MessageID),
			storable(r.Detail), storable(r.Payload), RejectOpen, runID)
		if err != nil {
			return fmt.Errorf("record a reject of job %s: %w", j.Name, err)
		}
	}
	return nil
}

// Rejects returns the stored rejects in a state, all if it is empty.
func (j *JobState) Rejects(ctx context.Context, state string) ([]StoredReject, error) {
	rows, err := j.db.QueryContext(ctx, `SELECT id, locator, reason, stage, set_name, conversation, message, detail, payload, state,
		first_run, last_run, first_seen, last_seen FROM rejects WHERE job_id = $1 AND ($2 = '' OR state = $2) ORDER BY id`, j.id, state)
	if err != nil {
		return nil, fmt.Errorf("read rejects of job %s: %w", j.Name, err)
	}
	defer rows.Close()
	var all []StoredReject
	for rows.Next() {
		r, err := scanReject(rows)
		if err != nil {
			return nil, fmt.Errorf("read rejects of job %s: %w", j.Name, err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func scanReject(rows *sql.Rows) (StoredReject, error) {
	var r StoredReject
	var conversation, message []byte
	var first, last int64
	err := rows.Scan(&r.ID, &r.Locator, &r.Reason, &r.Stage, &r.Set, &conversation, &message, &r.Detail, &r.Payload, &r.State,
		&r.FirstRun, &r.LastRun, &first, &last)
	r.ConversationID, r.MessageID = string(conversation), string(message)
	r.FirstSeen, r.LastSeen = time.UnixMilli(first), time.UnixMilli(last)
	return r, err
}

// storable returns s as every database can store it: NUL and bytes that are not
// part of valid UTF-8 are escaped, so that different texts stay different.
func storable(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		_, width := utf8.DecodeRuneInString(s[i:])
		if r == 0 || r == utf8.RuneError && width == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
