package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/transform"
)

// printSummary prints what a run did: what was read, what was sent, what waits,
// what was rejected and how to see it, and what comes next.
func printSummary(w io.Writer, colorful bool, spec *jobs.Spec, s jobs.Summary, failure error) {
	p := summaryPrinter{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0), spec: spec, s: s}
	head := fmt.Sprintf("%s: %s after %s", spec.Name, outcome(s, failure), s.Took.Round(10*time.Millisecond))
	if colorful {
		head = color(failure) + head + "\x1b[0m"
	}
	fmt.Fprintf(w, "%s\n\n", head)
	if !s.Nothing {
		p.read()
		p.sent()
	}
	p.waiting()
	p.rejected()
	p.next(failure)
	// What cannot be printed cannot be reported either.
	_ = p.w.Flush()
}

func outcome(s jobs.Summary, failure error) string {
	switch jobs.ExitCode(failure) {
	case jobs.ExitDone:
		if s.Nothing {
			return "nothing new"
		}
		return "done"
	case jobs.ExitInterrupted:
		return "interrupted"
	}
	return "stopped"
}

func color(failure error) string {
	switch jobs.ExitCode(failure) {
	case jobs.ExitDone:
		return "\x1b[1;32m"
	case jobs.ExitInterrupted:
		return "\x1b[1;33m"
	}
	return "\x1b[1;31m"
}

type summaryPrinter struct {
	w    *tabwriter.Writer
	spec *jobs.Spec
	s    jobs.Summary
}

// line prints a word of what the line is about, and what there is to say.
func (p *summaryPrinter) line(about, format string, args ...any) {
	fmt.Fprintf(p.w, "  %s\t%s\n", about, fmt.Sprintf(format, args...))
}

// counts prints one number a line below another line, the largest first.
func (p *summaryPrinter) counts(counts map[string]int) {
	names := slices.SortedFunc(maps.Keys(counts), func(x, y string) int {
		return cmp.Or(counts[y]-counts[x], strings.Compare(x, y))
	})
	for _, name := range names {
		p.line("", "%9s  %s", humanize.Comma(int64(counts[name])), name)
	}
}

func (p *summaryPrinter) read() {
	t := p.s.Tally
	p.line("read", "%s of %s", count(t.RowCount(), "row", "rows"), count(t.Conversations, "conversation", "conversations"))
	aside := make(map[string]int)
	for outcome, n := range t.Rows {
		switch reason, ignored := strings.CutPrefix(string(outcome), string(transform.Ignored)); {
		case ignored:
			aside["ignored: "+reason] += n
		case outcome == transform.Duplicate || outcome == transform.Suppressed || outcome == transform.Filtered:
			aside[string(outcome)] += n
		}
	}
	p.counts(aside)
}

func (p *summaryPrinter) sent() {
	total := 0
	byName := make(map[string]int)
	for name, n := range p.s.Sent {
		total += n
		byName[name.String()] = n
	}
	line := fmt.Sprintf("%s to %s", count(total, "event", "events"), destination(p.spec))
	if total > 0 {
		line += fmt.Sprintf(", %s to %s", p.s.Oldest.Format(time.DateOnly), p.s.Newest.Format(time.DateOnly))
	}
	p.line("sent", "%s", line)
	p.counts(byName)
	if n := p.s.Tally.Events[transform.Delivered]; n > 0 {
		p.line("not again", "%s delivered before", count(n, "event", "events"))
	}
	if n := p.s.Tally.StartedLate; n > 0 {
		p.line("", "%s with a message before the start that was delivered", count(n, "conversation", "conversations"))
	}
}

func destination(spec *jobs.Spec) string {
	if f := spec.Destination.File; f != nil {
		return f.Path
	}
	return "Segment source " + spec.Destination.Segment.Source
}

func (p *summaryPrinter) waiting() {
	if p.s.Due > 0 {
		p.line("waiting", "%s, to be looked at again from %s on",
			count(p.s.Due, "conversation", "conversations"), p.s.NextDue.Format("2006-01-02 15:04 MST"))
	}
}

func (p *summaryPrinter) rejected() {
	reasons := p.s.Tally.RejectedByReason()
	if len(reasons) > 0 {
		p.line("rejected", "%s", "these wait until they can be read or delivered")
		p.counts(reasons)
	}
	if p.s.Rejects > 0 {
		p.line("", "see them: chatbackfill rejects list %s", p.spec.File)
	}
}

func (p *summaryPrinter) next(failure error) {
	switch {
	case jobs.ExitCode(failure) == jobs.ExitInterrupted:
		p.line("next", "run it again: it continues where it stopped")
	case failure != nil:
	case p.s.More:
		p.line("next", "run it again: it goes on after these conversations")
	case p.s.Nothing:
		p.line("next", "the source has not changed since the last run; --full reads it again")
	default:
		p.line("next", "run it again when there are new rows: what was delivered is not sent twice")
	}
}

// count prints a number and its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + many
}
