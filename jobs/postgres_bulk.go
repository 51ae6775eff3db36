package jobs

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/chatbackfill/chatbackfill/extract"
)

// What is written to Postgres by the thousand goes there in one statement, as
// arrays: a round trip for each would take longer than all the rest.

// bulkDelivered is eachDelivered in one statement. LATERAL and LIMIT make it use
// the index whatever the statistics of a table say that has just been filled.
func (j *JobState) bulkDelivered(ctx context.Context, tx *sql.Tx, conversations []string, found map[string]Delivered) error {
	ids := make([][]byte, len(conversations))
	for i, id := range conversations {
		ids[i] = []byte(id)
	}
	rows, err := tx.QueryContext(ctx, `
		SELECT wanted.conversation, had.start, had.entries
		FROM unnest($2::bytea[]) AS wanted (conversation)
		CROSS JOIN LATERAL (SELECT start, entries FROM ledger
			WHERE job_id = $1 AND sha256(conversation) = sha256(wanted.conversation) LIMIT 1) AS had`, j.id, ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, entries sql.RawBytes
		var d Delivered
		if err := rows.Scan(&id, &d.Start, &entries); err != nil {
			return err
		}
		if d.Events, err = readEntries(entries); err != nil {
			return fmt.Errorf("conversation %q: %w", string(id), err)
		}
		found[string(id)] = d
	}
	return rows.Err()
}

// bulkLedger is eachLedger in one statement, which must not name a conversation
// twice.
func (j *JobState) bulkLedger(ctx context.Context, tx *sql.Tx, entries []ledgerEntry) error {
	var ids, added [][]byte
	var starts []int64
	at := make(map[string]int, len(entries))
	for _, e := range entries {
		i, again := at[e.conversation]
		if !again {
			at[e.conversation] = len(ids)
			ids, starts, added = append(ids, []byte(e.conversation)), append(starts, int64(e.start)), append(added, e.entries)
			continue
		}
		added[i] = append(added[i][:len(added[i]):len(added[i])], e.entries...)
		if starts[i] == 0 {
			starts[i] = int64(e.start)
		}
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO ledger (job_id, conversation, start, entries)
		SELECT $1, * FROM unnest($2::bytea[], $3::bigint[], $4::bytea[])
		ON CONFLICT (job_id, sha256(conversation)) DO UPDATE SET entries = ledger.entries || excluded.entries,
			start = CASE WHEN ledger.start = 0 THEN excluded.start ELSE ledger.start END`, j.id, ids, starts, added)
	return err
}

// bulkDue is writeDue in two statements.
func (j *JobState) bulkDue(ctx context.Context, tx *sql.Tx, due map[string]extract.Time) error {
	var over, ids [][]byte
	var times []int64
	for conversation, at := range due {
		if at == 0 {
			over = append(over, []byte(conversation))
		} else {
			ids, times = append(ids, []byte(conversation)), append(times, int64(at))
		}
	}
	var err error
	if len(over) > 0 {
		_, err = tx.ExecContext(ctx, `DELETE FROM due
			WHERE job_id = $1 AND sha256(conversation) IN (SELECT sha256(id) FROM unnest($2::bytea[]) AS over (id))`, j.id, over)
	}
	if err == nil && len(ids) > 0 {
		_, err = tx.ExecContext(ctx, `INSERT INTO due (job_id, conversation, due_at) SELECT $1, * FROM unnest($2::bytea[], $3::bigint[])
			ON CONFLICT (job_id, sha256(conversation)) DO UPDATE SET due_at = excluded.due_at`, j.id, ids, times)
	}
	if err != nil {
		return fmt.Errorf("write due notes of job %s: %w", j.Name, err)
	}
	return nil
}

// bulkRejects is writeRejects in two statements.
func (j *JobState) bulkRejects(ctx context.Context, tx *sql.Tx, runID string, rejects []extract.Reject, clean []string) error {
	if err := j.bulkClose(ctx, tx, clean); err != nil {
		return fmt.Errorf("close rejects of job %s: %w", j.Name, err)
	}
	if len(rejects) == 0 {
		return nil
	}
	r := rejectColumns(rejects)
	now := j.dialect.now
	_, err := tx.ExecContext(ctx, `
		INSERT INTO rejects (job_id, locator, reason, stage, set_name, detail, payload, conversation, message, state,
			first_run, last_run, first_seen, last_seen)
		SELECT $1, r.*, $2, $3, $3, `+now+`, `+now+`
		FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::bytea[]) AS r
		ON CONFLICT (job_id, left(locator, 500), hashtextextended(locator, 0), reason) DO UPDATE SET
			detail = excluded.detail, payload = excluded.payload, conversation = excluded.conversation, message = excluded.message,
			state = CASE WHEN rejects.state = '`+RejectClosed+`' THEN excluded.state ELSE rejects.state END,
			last_run = excluded.last_run, last_seen = excluded.last_seen`,
		j.id, RejectOpen, runID, r.locator, r.reason, r.stage, r.set, r.detail, r.payload, r.conversation, r.message)
	if err != nil {
		return fmt.Errorf("record rejects of job %s: %w", j.Name, err)
	}
	return nil
}

// bulkClose closes the rejects of conversations that are clean now.
func (j *JobState) bulkClose(ctx context.Context, tx *sql.Tx, clean []string) error {
	if len(clean) == 0 {
		return nil
	}
	ids := make([][]byte, len(clean))
	for i, id := range clean {
		ids[i] = []byte(id)
	}
	_, err := tx.ExecContext(ctx, `UPDATE rejects SET state = $3, payload = ''
		WHERE job_id = $1 AND sha256(conversation) IN (SELECT sha256(id) FROM unnest($2::bytea[]) AS clean (id))
			AND state = $4 AND stage <> $5`,
		j.id, ids, RejectClosed, RejectOpen, string(extract.StageSend))
	return err
}

// columns are rejects column by column.
type columns struct {
	locator, reason, stage, set, detail, payload []string
	conversation, message                        [][]byte
}

// rejectColumns turns rejects by ninety degrees. Of those with the same key only
// the last is left, for one statement cannot write a row twice.
func rejectColumns(rejects []extract.Reject) columns {
	type key struct{ locator, reason string }
	last := make(map[key]int, len(rejects))
	for i := range rejects {
		last[key{storable(rejects[i].Locator), string(rejects[i].Reason)}] = i
	}
	var c columns
	for i := range rejects {
		r := &rejects[i]
		locator := storable(r.Locator)
		if last[key{locator, string(r.Reason)}] != i {
			continue
		}
		c.locator, c.reason = append(c.locator, locator), append(c.reason, string(r.Reason))
		c.stage, c.set = append(c.stage, string(r.Stage)), append(c.set, r.Set)
		c.detail, c.payload = append(c.detail, storable(r.Detail)), append(c.payload, storable(r.Payload))
		c.conversation, c.message = append(c.conversation, []byte(r.ConversationID)), append(c.message, []byte(r.MessageID))
	}
	return c
}
