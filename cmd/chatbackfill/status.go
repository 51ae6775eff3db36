package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) statusCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "status JOB.yaml...",
		Short: "Show what ran, runs, waits and comes next",
		Long: "status shows what the state store knows of jobs, whichever machine runs them. Counts of a run under way\n" +
			"are those of its last checkpoint.",
		Args: someJobs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.status(c.Context(), output, args)
		},
	}
	outputFlag(c, &output)
	return c
}

func (a *app) status(ctx context.Context, output string, files []string) error {
	now := time.Now()
	data, rows, shards := []jobs.JobStatus{}, []table.Row{}, []table.Row{}
	for _, file := range files {
		spec, err := a.loadSpec(file)
		if err != nil {
			return err
		}
		err = jobs.WithState(ctx, spec, func(j *jobs.JobState) error {
			s, err := j.Status(ctx, spec, now)
			data = append(data, s)
			rows, shards = append(rows, statusRow(&s, now)), append(shards, shardRows(&s)...)
			return err
		})
		if err != nil {
			return err
		}
	}
	header := table.Row{"job", "into", "state", "runs on", "pass", "rows", "events", "rate", "position", "rejects", "waiting", "last success", "next"}
	if err := a.print(output, data, header, rows); err != nil || output == outputJSON || len(shards) == 0 {
		return err
	}
	fmt.Fprintln(a.out)
	return a.print(output, data, table.Row{"job", "shard", "state", "runs on", "pass", "rows", "events", "rate", "position"}, shards)
}

func statusRow(s *jobs.JobStatus, now time.Time) table.Row {
	row := append(table.Row{s.Job, s.Label, s.State, holders(s)}, passCells(s.Pass, s.Percent, s.EventRate)...)
	return append(row, s.OpenRejects, waiting(s, now), ago(s.LastSuccess, now), next(s, now))
}

// shardRows has a row for each shard of a job that is divided.
func shardRows(s *jobs.JobStatus) (rows []table.Row) {
	for i := range s.Shards {
		shard := &s.Shards[i]
		on := "-"
		if shard.Holder != nil {
			on = holder(shard.Holder)
		}
		rows = append(rows, append(table.Row{s.Job, shard.Shard, shard.State, on}, passCells(shard.Pass, shard.Percent, shard.EventRate)...))
	}
	return rows
}

// passCells are how far a pass is: itself, rows, events, rate, position.
func passCells(p *jobs.PassStatus, percent *float64, rate float64) table.Row {
	cells := table.Row{"-", "-", "-", "-", "-"}
	if p != nil {
		cells = table.Row{passText(p, percent), humanize.Comma(int64(p.Rows)), humanize.Comma(int64(p.Events)), "-", shortened(printable(p.Position))}
	}
	if rate > 0 {
		cells[3] = humanize.Comma(int64(rate)) + " events/s"
	}
	return cells
}

// holders says who runs the job.
func holders(s *jobs.JobStatus) string {
	switch {
	case len(s.Holders) == 0:
		return "-"
	case len(s.Shards) > 0:
		return fmt.Sprintf("%d of %d shards", len(s.Holders), len(s.Shards))
	}
	return holder(&s.Holders[0])
}

func holder(h *jobs.LeaseOwner) string { return fmt.Sprintf("%s, process %d", h.Host, h.PID) }

func passText(p *jobs.PassStatus, percent *float64) string {
	switch {
	case p.Done:
		return fmt.Sprintf("%d, done", p.Number)
	case p.Halted:
		return fmt.Sprintf("%d, halted", p.Number)
	case percent != nil:
		return fmt.Sprintf("%d, %.0f %%", p.Number, *percent)
	}
	return fmt.Sprintf("%d, not done", p.Number)
}

// waiting says what waits: conversations, or a slot.
func waiting(s *jobs.JobStatus, now time.Time) string {
	var parts []string
	if s.Due > 0 {
		text := count(s.Due, "conversation", "conversations")
		if s.NextDue != nil {
			text += ", " + relative(*s.NextDue, now)
		}
		parts = append(parts, text)
	}
	if s.State == jobs.JobWaiting {
		text := "slot of " + s.Slot.At.Format("2006-01-02 15:04 MST")
		if s.Slot.RetryAt != nil {
			text += ", again " + relative(*s.Slot.RetryAt, now)
		}
		parts = append(parts, text)
	}
	return orDash(strings.Join(parts, "\n"))
}

func next(s *jobs.JobStatus, now time.Time) string {
	if s.NextSlot == nil {
		return "-"
	}
	return relative(*s.NextSlot, now)
}

func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return relative(*t, now)
}

func relative(t, now time.Time) string { return humanize.RelTime(t, now, "ago", "from now") }

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// shortened returns a text as it fits into a table.
func shortened(text string) string {
	const longest = 24
	if letters := []rune(text); len(letters) > longest {
		return string(letters[:longest-1]) + "…"
	}
	return orDash(text)
}
