package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/dustin/go-humanize"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// Discrepancy is how an event of the source and the ledger differ.
type Discrepancy string

// The discrepancies. Only missing and changed events are a cause for alarm.
const (
	Missing    Discrepancy = "missing"    // the source has it, the ledger has not
	Changed    Discrepancy = "changed"    // it was delivered with other content
	Extra      Discrepancy = "extra"      // it was delivered, the conversation does not have it any more
	Gone       Discrepancy = "gone"       // it was delivered, the source does not have its conversation any more
	Suppressed Discrepancy = "suppressed" // it was delivered, and its customer is suppressed now
)

// Finding is one event that differs.
type Finding struct {
	Problem        Discrepancy `json:"problem"`
	MessageID      string      `json:"messageId,omitempty"` // of what the source has
	Event          string      `json:"event,omitempty"`
	ConversationID string      `json:"conversation_id,omitempty"`
	Timestamp      time.Time   `json:"timestamp,omitzero"`
	Key            string      `json:"key"` // names the event in the ledger
}

// Verification is the comparison of a source with the ledger.
type Verification struct {
	Events int                            `json:"events"` // of the source
	Counts map[Discrepancy]int            `json:"counts"` // events that differ
	Days   map[string]map[Discrepancy]int `json:"days"`   // the same by day of the event; "" for those whose day nobody knows
}

// Err returns the error of a verification that found events missing or changed.
func (v *Verification) Err() error {
	missing, changed := v.Counts[Missing], v.Counts[Changed]
	if missing+changed == 0 {
		return nil
	}
	return &Error{
		Exit: ExitVerify,
		Err:  fmt.Errorf("%s events are missing, %s have changed since they were delivered", humanize.Comma(int64(missing)), humanize.Comma(int64(changed))),
		Try:  "chatbackfill run --full sends what is missing; run --resend changed sends what has changed again",
	}
}

// verifier compares conversations with what was delivered of them.
type verifier struct {
	Verification
	export *json.Encoder // nil: findings are counted only
	seen   map[uint64]bool
	err    error
}

func (v *verifier) examine(_ *extract.Transcript, c *transform.Conversation, delivered Delivered) {
	if c.ID == "" {
		return
	}
	v.seen[xxhash.Sum64String(c.ID)] = true
	derived := make(map[uint64]bool, len(c.Events))
	for i := range c.Events {
		e := &c.Events[i]
		derived[e.Key] = true
		v.Events++
		hash, known := delivered.Events[e.Key]
		switch {
		case known && hash == e.Hash(), !known && e.Name == transform.Started && delivered.Start != 0:
		case known:
			v.find(Changed, e, c.ID, e.Key)
		default:
			v.find(Missing, e, c.ID, e.Key)
		}
	}
	problem := Extra
	if c.Suppressed {
		problem = Suppressed
	}
	for key := range delivered.Events {
		if !derived[key] {
			v.find(problem, nil, c.ID, key)
		}
	}
}

func (v *verifier) find(problem Discrepancy, e *transform.Event, conversation string, key uint64) {
	f := Finding{Problem: problem, ConversationID: conversation, Key: strconv.FormatUint(key, 16)}
	day := ""
	if e != nil {
		f.MessageID, f.Event, f.Timestamp = e.ID.String(), e.Name.String(), e.Timestamp.Time()
		day = f.Timestamp.Format(time.DateOnly)
	}
	v.Counts[problem]++
	if v.Days[day] == nil {
		v.Days[day] = make(map[Discrepancy]int)
	}
	v.Days[day][problem]++
	if v.export != nil && v.err == nil {
		v.err = v.export.Encode(f)
	}
}

// ExecuteVerify derives the source's events again and compares them with what
// was delivered. Every event that differs is written to export, which may be
// nil, as a line of JSON: a [Finding].
func ExecuteVerify(ctx context.Context, e Execution, export io.Writer) (Verification, error) {
	v := &verifier{
		Verification: Verification{Counts: make(map[Discrepancy]int), Days: make(map[string]map[Discrepancy]int)},
		seen:         make(map[uint64]bool),
	}
	if export != nil {
		v.export = json.NewEncoder(export)
	}
	if !e.Spec.Ledger {
		return v.Verification, &Error{Exit: ExitUsage, Err: errors.New("ledger: off keeps only the position: there is nothing to compare the source with"),
			Try: "ledger: on from the first run of a job"}
	}
	err := WithState(ctx, e.Spec, func(j *JobState) error {
		r, err := e.newRun(ctx, j)
		if err != nil {
			return classify(err)
		}
		defer r.Source.Close()
		return classify(r.verify(ctx, v))
	})
	return v.Verification, err
}

func (r *Run) verify(ctx context.Context, v *verifier) error {
	if err := r.recall(ctx); err != nil {
		return err
	}
	from, err := r.fromStart(ctx)
	if err != nil {
		return err
	}
	p, err := r.newPass(newPlanner(), from)
	if err != nil {
		return err
	}
	p.examine = v.examine
	if err := p.read(ctx, ""); err != nil {
		return err
	}
	err = r.Job.wholeLedger(ctx, func(conversation string, d Delivered) {
		if v.seen[xxhash.Sum64String(conversation)] {
			return
		}
		for key := range d.Events {
			v.find(Gone, nil, conversation, key)
		}
	})
	return errors.Join(err, v.err)
}

// wholeLedger calls do with every conversation of the ledger.
func (j *JobState) wholeLedger(ctx context.Context, do func(conversation string, d Delivered)) error {
	rows, err := j.db.QueryContext(ctx, `SELECT conversation, start, entries FROM ledger WHERE job_id = $1`, j.id)
	if err != nil {
		return fmt.Errorf("read the ledger of job %s: %w", j.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, entries []byte
		var d Delivered
		if err := rows.Scan(&id, &d.Start, &entries); err != nil {
			return fmt.Errorf("read the ledger of job %s: %w", j.Name, err)
		}
		if d.Events, err = readEntries(entries); err != nil {
			return fmt.Errorf("read the ledger of job %s: conversation %q: %w", j.Name, id, err)
		}
		do(string(id), d)
	}
	return rows.Err()
}
