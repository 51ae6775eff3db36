package jobs

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/chatbackfill/chatbackfill/transform"
)

//go:embed report/page.html report/page.css
var reportFiles embed.FS

var reportTemplate = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"comma": func(n int) string { return humanize.Comma(int64(n)) },
	"count": countOf,
}).ParseFS(reportFiles, "report/page.html"))

// reportAgents is how many agents the page names.
const reportAgents = 20

// reportPage is what the template shows.
type reportPage struct {
	CSS       template.CSS
	Policy    string // the content security policy
	Job       string
	State     string // a word: how the run ended
	Tone      string // good, warn or bad
	Problems  []problem
	Facts     []fact // on the run
	Tiles     []tile
	Timeline  *timeline // nil: no events
	Replies   *distribution
	Durations *distribution
	Events    barTable
	Agents    []agentRow
	Further   string // on agents that are not named; may be empty
	Rows      barTable
	Rejects   []rejectRow
	Open      string // on open rejects; may be empty
	ListAll   string // the command that lists them
	Settings  []settingGroup
	At        time.Time
}

type (
	problem struct{ What, Try string }
	fact    struct{ Name, Value string }
	tile    struct{ Name, Value, Unit, More, Tone string }

	// agentRow and rejectRow are rows of tables. Width is that of a bar, in
	// percent.
	agentRow struct {
		Name                    string
		Messages, Conversations int
		Width                   string
	}
	rejectRow struct {
		Reason, Meaning string
		Count           int
		Command         string // that shows them; empty: they are shown with another reason
	}
)

// WriteHTML writes one page without any reference to another: what a run read,
// delivered, left waiting and rejected, and how long people waited for an
// answer. It shows neither what was said nor who the customers are. The failure
// is the run's error, or nil; at is when the run ended.
func (r *Report) WriteHTML(w io.Writer, spec *Spec, s Summary, failure error, at time.Time) error {
	page, err := r.page(spec, s, failure)
	if err != nil {
		return err
	}
	page.At = at.UTC()
	page.Facts = append(page.Facts, fact{"Ended", page.At.Format("2 January 2006, 15:04:05 MST")})
	if err := reportTemplate.Execute(w, page); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (r *Report) page(spec *Spec, s Summary, failure error) (*reportPage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeAll()
	css, err := reportFiles.ReadFile("report/page.css")
	if err != nil {
		return nil, fmt.Errorf("write report: %w", err)
	}
	p := &reportPage{CSS: template.CSS(css), Policy: policyFor(css), Job: spec.Name, Problems: problems(failure)}
	p.State, p.Tone = ending(s, failure)
	p.Facts = []fact{{"Destination", destinationOf(spec)}, {"Run", s.RunID}, {"Took", s.Took.Round(10 * time.Millisecond).String()}}
	p.Tiles = tiles(s)
	p.Timeline = r.timeline()
	p.Replies = newDistribution("first-reply", "Time to the first reply", &r.replies)
	p.Durations = newDistribution("duration", "Duration of conversations", &r.durations)
	p.Events = eventTable(s)
	p.Rows = rowTable(s.Tally)
	p.agents(r)
	p.rejects(spec, s)
	p.Settings = settingGroups(spec.Resolved())
	return p, nil
}

// policyFor forbids the page everything but its own style sheet.
func policyFor(css []byte) string {
	sum := sha256.Sum256(css)
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:; base-uri 'none'; form-action 'none'"
}

// problems are the errors that ended a run, one by one.
func problems(err error) []problem {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var all []problem
		for _, one := range several.Unwrap() {
			all = append(all, problems(one)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	var classed *Error
	if errors.As(err, &classed) {
		return []problem{{err.Error(), classed.Try}}
	}
	return []problem{{err.Error(), ""}}
}

func ending(s Summary, failure error) (state, tone string) {
	switch ExitCode(failure) {
	case ExitDone:
		if s.Nothing {
			return "nothing new", "good"
		}
		return "done", "good"
	case ExitInterrupted:
		return "interrupted", "warn"
	}
	return "stopped", "bad"
}

func destinationOf(spec *Spec) string {
	if f := spec.Destination.File; f != nil {
		return f.Path
	}
	return "Segment source " + spec.Destination.Segment.Source
}

// tiles are the four numbers that tell how a run went.
func tiles(s Summary) []tile {
	read := tile{Name: "Read", Value: comma(s.Tally.RowCount()), Unit: plural(s.Tally.RowCount(), "row", "rows"),
		More: "of " + countOf(s.Tally.Conversations, "conversation", "conversations")}
	sent := tile{Name: "Sent", Value: comma(sum(s.Sent)), Unit: plural(sum(s.Sent), "event", "events"), Tone: "good"}
	if !s.Oldest.IsZero() {
		sent.More = period(s.Oldest, s.Newest)
	}
	if n := s.Tally.Events[transform.Delivered]; n > 0 {
		sent.More = strings.TrimPrefix(sent.More+"; ", "; ") + comma(n) + " delivered before"
	}
	waiting := tile{Name: "Waiting", Value: comma(s.Due), Unit: plural(s.Due, "conversation", "conversations"), More: "none noted for a later run"}
	if s.Due > 0 {
		waiting.More, waiting.Tone = "looked at again from "+s.NextDue.UTC().Format("2 Jan 2006, 15:04 MST")+" on", "warn"
	}
	n := sum(s.Tally.RejectedByReason())
	rejects := tile{Name: "Rejected", Value: comma(n), Unit: plural(n, "row or event", "rows and events"), More: "none by this run"}
	if n > 0 {
		rejects.More, rejects.Tone = "kept with their reasons, see below", "bad"
	}
	return []tile{read, sent, waiting, rejects}
}

func (p *reportPage) agents(r *Report) {
	top, further := r.topAgents(reportAgents)
	called := make(map[string]int)
	for _, a := range top {
		called[agentName(a.agent)]++
	}
	most := 1
	for _, a := range top {
		most = max(most, a.messages)
		name := agentName(a.agent)
		if called[name] > 1 && a.agent.ID != "" && a.agent.ID != name {
			name += " (" + a.agent.ID + ")"
		}
		p.Agents = append(p.Agents, agentRow{name, a.messages, a.conversations, percent(a.messages, most)})
	}
	switch {
	case r.crowd > 0:
		p.Further = fmt.Sprintf("There are more than %s agents: the mapping may take customers for agents.", comma(maxReportAgents))
	case further > 0:
		p.Further = "The busiest " + comma(len(top)) + " of " + comma(len(top)+further) + "."
	}
}

func (p *reportPage) rejects(spec *Spec, s Summary) {
	list := "chatbackfill rejects list " + shellWord(spec.File)
	reasons := s.Tally.RejectedByReason()
	for _, reason := range largestFirst(reasons) {
		row := rejectRow{Reason: reason, Meaning: reasonMeanings[reason], Count: reasons[reason]}
		if reason != string(transform.Held) {
			row.Command = list + " --reason " + reason
		}
		p.Rejects = append(p.Rejects, row)
	}
	if s.Rejects > 0 {
		p.Open = countOf(s.Rejects, "reject is", "rejects are") + " open, those of earlier runs included."
		p.ListAll = list
	}
}

// largestFirst returns the names of counts, the largest first.
func largestFirst[K ~string](counts map[K]int) []K {
	return slices.SortedFunc(maps.Keys(counts), func(x, y K) int {
		return cmp.Or(counts[y]-counts[x], strings.Compare(string(x), string(y)))
	})
}

func sum[K comparable](counts map[K]int) int {
	n := 0
	for _, k := range counts {
		n += k
	}
	return n
}
