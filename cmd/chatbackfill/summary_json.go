package main

import (
	"encoding/json"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/transform"
)

// summarize prints what a run did as the flag --output says.
func (a *app) summarize(spec *jobs.Spec, s jobs.Summary, failure error) {
	if a.output != outputJSON {
		printSummary(a.out, a.colorful(a.out), spec, s, failure)
		return
	}
	// What cannot be printed cannot be reported either.
	_ = a.printJSON(summaryRecordOf(spec, s, failure))
}

// tallyRecord is what became of rows and events.
type tallyRecord struct {
	Job           string                    `json:"job"`
	Label         string                    `json:"label"`
	Rows          int                       `json:"rows"`
	Conversations int                       `json:"conversations"`
	RowOutcomes   map[transform.Outcome]int `json:"row_outcomes"`
	EventOutcomes map[transform.Outcome]int `json:"event_outcomes"`
	StartedLate   int                       `json:"started_late"` // conversations that have a message before the start that was delivered
	Oldest        *time.Time                `json:"oldest"`       // event that was sent, or would be; null: none
	Newest        *time.Time                `json:"newest"`
	Error         string                    `json:"error"` // empty: none
}

func tallyRecordOf(spec *jobs.Spec, t transform.Tally, oldest, newest time.Time, failure error) tallyRecord {
	r := tallyRecord{
		Job: spec.Name, Label: spec.Label(), Rows: t.RowCount(), Conversations: t.Conversations,
		RowOutcomes: t.Rows, EventOutcomes: t.Events, StartedLate: t.StartedLate, Oldest: known(oldest), Newest: known(newest),
	}
	if failure != nil {
		r.Error = failure.Error()
	}
	return r
}

// known returns nil for the zero time.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func byName(counts map[transform.Name]int) map[string]int {
	named := make(map[string]int, len(counts))
	for name, n := range counts {
		named[name.String()] = n
	}
	return named
}

// summaryRecord is what a run did, for programs.
type summaryRecord struct {
	tallyRecord
	Run     string         `json:"run"`
	Exit    int            `json:"exit_code"`
	Seconds float64        `json:"seconds"`
	Nothing bool           `json:"nothing_new"`
	More    bool           `json:"more"` // --limit was reached
	Sent    map[string]int `json:"sent"`
	Due     int            `json:"due"` // conversations to be looked at again
	NextDue *time.Time     `json:"next_due"`
	Rejects int            `json:"open_rejects"`
}

func summaryRecordOf(spec *jobs.Spec, s jobs.Summary, failure error) summaryRecord {
	return summaryRecord{
		tallyRecord: tallyRecordOf(spec, s.Tally, s.Oldest, s.Newest, failure),
		Run:         s.RunID, Exit: jobs.ExitCode(failure), Seconds: s.Took.Seconds(), Nothing: s.Nothing, More: s.More,
		Sent: byName(s.Sent), Due: s.Due, NextDue: known(s.NextDue), Rejects: s.Rejects,
	}
}

// planRecord is what a run would do, for programs.
type planRecord struct {
	tallyRecord
	New       map[string]int             `json:"new"` // events to be sent
	Rejects   map[extract.Reason]int     `json:"rejects"`
	Requests  int                        `json:"requests"`
	Bytes     int                        `json:"bytes"`
	Seconds   float64                    `json:"seconds"` // at the job's rate; 0: there is no such limit
	Customers int                        `json:"customers"`
	Due       int                        `json:"due"`
	Samples   map[string]json.RawMessage `json:"samples"` // an event of each name
}

func planRecordOf(spec *jobs.Spec, p jobs.Plan) planRecord {
	r := planRecord{
		tallyRecord: tallyRecordOf(spec, p.Tally, p.Oldest, p.Newest, p.Problem),
		New:         byName(p.New), Rejects: p.Rejects, Requests: p.Requests, Bytes: p.Bytes, Seconds: p.Duration().Seconds(),
		Customers: p.Customers, Due: p.Due, Samples: make(map[string]json.RawMessage),
	}
	if spec.Destination.Segment == nil {
		r.Requests = 0
	}
	for name, event := range p.Samples {
		r.Samples[name.String()] = event
	}
	return r
}
