package jobs

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Delivered is what the ledger has of a conversation.
type Delivered struct {
	Start  extract.Time      // the delivered start, or 0
	Events map[uint64]uint64 // by transform.Event.Key: the hash of what was delivered
}

// ledgerEntry is what a chunk adds to the ledger of one conversation.
type ledgerEntry struct {
	conversation string
	start        extract.Time // set if the chunk delivered the start
	entries      []byte
}

const entrySize = 16

// appendEntry adds an accepted event's key and hash to entries as the ledger
// keeps them.
func appendEntry(entries []byte, key, hash uint64) []byte {
	entries = binary.BigEndian.AppendUint64(entries, key)
	return binary.BigEndian.AppendUint64(entries, hash)
}

func readEntries(entries []byte) (map[uint64]uint64, error) {
	if len(entries)%entrySize != 0 {
		return nil, fmt.Errorf("%d bytes are no whole number of entries", len(entries))
	}
	events := make(map[uint64]uint64, len(entries)/entrySize)
	for ; len(entries) > 0; entries = entries[entrySize:] {
		events[entryKey(entries)] = entryHash(entries)
	}
	return events, nil
}

func entryKey(entry []byte) uint64  { return binary.BigEndian.Uint64(entry) }
func entryHash(entry []byte) uint64 { return binary.BigEndian.Uint64(entry[8:]) }

// LedgerEmpty reports whether nothing was ever delivered for the job.
func (j *JobState) LedgerEmpty(ctx context.Context) (bool, error) {
	var n int
	err := j.db.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM ledger WHERE job_id = $1 LIMIT 1) AS one`, j.id).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("read the ledger of job %s: %w", j.Name, err)
	}
	return n == 0, nil
}

// Delivered returns what was delivered of the conversations that have anything
// delivered. It waits for a store that cannot be read.
func (j *JobState) Delivered(ctx context.Context, conversations []string) (map[string]Delivered, error) {
	var found map[string]Delivered
	err := patiently(ctx, func(error) {}, func() (err error) {
		found, err = j.delivered(ctx, conversations)
		return err
	})
	return found, err
}

func (j *JobState) delivered(ctx context.Context, conversations []string) (map[string]Delivered, error) {
	found := make(map[string]Delivered)
	err := j.snapshot(ctx, func(tx *sql.Tx) error {
		if j.dialect.bulk {
			return j.bulkDelivered(ctx, tx, conversations, found)
		}
		return j.eachDelivered(ctx, tx, conversations, found)
	})
	if err != nil {
		return nil, fmt.Errorf("read the ledger of job %s: %w", j.Name, err)
	}
	return found, nil
}

func (j *JobState) eachDelivered(ctx context.Context, tx *sql.Tx, conversations []string, found map[string]Delivered) error {
	query, err := tx.PrepareContext(ctx, `SELECT start, entries FROM ledger WHERE job_id = $1 AND hash IN (0, $2) AND conversation = $3`)
	if err != nil {
		return err
	}
	defer query.Close()
	for _, id := range conversations {
		d, err := scanDelivered(query.QueryRowContext(ctx, j.id, conversationHash(id), []byte(id)))
		if err == sql.ErrNoRows {
			continue
		}
		if err != nil {
			return fmt.Errorf("conversation %q: %w", id, err)
		}
		found[id] = d
	}
	return nil
}

// unrecorded returns the entries that the ledger does not have.
func (j *JobState) unrecorded(ctx context.Context, entries []ledgerEntry) ([]ledgerEntry, error) {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.conversation
	}
	recorded, err := j.delivered(ctx, ids)
	if err != nil {
		return nil, err
	}
	var missing []ledgerEntry
	for _, e := range entries {
		known := recorded[e.conversation].Events
		rest := ledgerEntry{conversation: e.conversation, start: e.start}
		for b := range slices.Chunk(e.entries, entrySize) {
			if hash, ok := known[entryKey(b)]; !ok || hash != entryHash(b) {
				rest.entries = append(rest.entries, b...)
			}
		}
		if len(rest.entries) > 0 {
			missing = append(missing, rest)
		}
	}
	return missing, nil
}

func scanDelivered(row *sql.Row) (Delivered, error) {
	var d Delivered
	var entries []byte
	err := row.Scan(&d.Start, &entries)
	if err != nil {
		return d, err
	}
	d.Events, err = readEntries(entries)
	return d, err
}

// writeLedger adds entries. What is there stays: two writers never lose each
// other's.
func (j *JobState) writeLedger(ctx context.Context, tx *sql.Tx, entries []ledgerEntry) error {
	if len(entries) == 0 {
		return nil
	}
	write := j.eachLedger
	if j.dialect.bulk {
		write = j.bulkLedger
	}
	if err := write(ctx, tx, entries); err != nil {
		return fmt.Errorf("write the ledger of job %s: %w", j.Name, err)
	}
	return nil
}

// compactLedger leaves one entry, the last, of every event of the conversations
// that entries were added to.
func (j *JobState) compactLedger(ctx context.Context, tx *sql.Tx, added []ledgerEntry) error {
	ids := make([]string, len(added))
	for i, e := range added {
		ids[i] = e.conversation
	}
	found := make(map[string]Delivered, len(ids))
	read := j.eachDelivered
	if j.dialect.bulk {
		read = j.bulkDelivered
	}
	if err := read(ctx, tx, ids, found); err != nil {
		return fmt.Errorf("read the ledger of job %s: %w", j.Name, err)
	}
	for id, d := range found {
		var entries []byte
		for _, key := range slices.Sorted(maps.Keys(d.Events)) {
			entries = binary.BigEndian.AppendUint64(entries, key)
			entries = binary.BigEndian.AppendUint64(entries, d.Events[key])
		}
		_, err := tx.ExecContext(ctx, `UPDATE ledger SET entries = $3 WHERE job_id = $1 AND `+j.dialect.conversation, j.id, []byte(id), entries)
		if err != nil {
			return fmt.Errorf("write the ledger of job %s: %w", j.Name, err)
		}
	}
	return nil
}

// ledgerRows is how many rows of the ledger one statement writes: several cost
// half of what they cost one by one, and many more are no cheaper.
const ledgerRows = 16

func (j *JobState) eachLedger(ctx context.Context, tx *sql.Tx, entries []ledgerEntry) error {
	whole := len(entries) - len(entries)%ledgerRows
	for _, part := range [...]struct {
		rows    int
		entries []ledgerEntry
	}{{ledgerRows, entries[:whole]}, {len(entries) - whole, entries[whole:]}} {
		if err := j.insertLedger(ctx, tx, part.rows, part.entries); err != nil {
			return err
		}
	}
	return nil
}

// insertLedger writes entries, a multiple of rows, by so many rows.
func (j *JobState) insertLedger(ctx context.Context, tx *sql.Tx, rows int, entries []ledgerEntry) error {
	if len(entries) == 0 {
		return nil
	}
	insert, err := tx.PrepareContext(ctx, `INSERT INTO ledger (job_id, hash, conversation, start, entries)
		VALUES (?, ?, ?, ?, ?)`+strings.Repeat(`, (?, ?, ?, ?, ?)`, rows-1)+`
		ON CONFLICT (job_id, hash, conversation) DO UPDATE SET entries = CAST(ledger.entries || excluded.entries AS BLOB),
			start = CASE WHEN ledger.start = 0 THEN excluded.start ELSE ledger.start END`)
	if err != nil {
		return err
	}
	defer insert.Close()
	hash, err := j.ledgerHash(ctx, tx)
	if err != nil {
		return err
	}
	var values []any
	for some := range slices.Chunk(entries, rows) {
		values = values[:0]
		for _, e := range some {
			values = append(values, j.id, hash(e.conversation), []byte(e.conversation), int64(e.start), e.entries)
		}
		if _, err := insert.ExecContext(ctx, values...); err != nil {
			return err
		}
	}
	return nil
}

// ledgerHash returns what places conversations in the job's ledger: the place of
// those that are there, whatever the job reads now. A conversation has one place.
func (j *JobState) ledgerHash(ctx context.Context, tx *sql.Tx) (func(conversation string) int64, error) {
	var first int64
	err := tx.QueryRowContext(ctx, `SELECT hash FROM ledger WHERE job_id = $1 ORDER BY hash LIMIT 1`, j.id).Scan(&first)
	byID := first == 0
	if err == sql.ErrNoRows {
		byID, err = j.ReadsByID, nil
	}
	if byID {
		return func(string) int64 { return 0 }, err
	}
	return conversationHash, err
}
