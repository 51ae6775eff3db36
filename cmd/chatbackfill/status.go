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
	data, rows := []jobs.JobStatus{}, []table.Row{}
	for _, file := range files {
		spec, err := a.loadSpec(file)
		if err != nil {
			return err
		}
		err = jobs.WithState(ctx, spec, func(j *jobs.JobState) error {
			s, err := j.Status(ctx, spec, now)
			data = append(data, s)
			rows = append(rows, statusRow(&s, now))
			return err
		})
		if err != nil {
			return err
		}
	}
	header := table.Row{"job", "into", "state", "runs on", "pass", "rows", "events", "rate", "position", "rejects", "waiting", "last success", "next"}
	return a.print(output, data, header, rows)
}

func statusRow(s *jobs.JobStatus, now time.Time) table.Row {
	row := table.Row{s.Job, s.Label, s.State, holders(s), "-", "-", "-", "-", "-", s.OpenRejects, waiting(s, now), ago(s.LastSuccess, now), next(s, now)}
	if p := s.Pass; p != nil {
		row[4], row[5], row[6] = passText(s), humanize.Comma(int64(p.Rows)), humanize.Comma(int64(p.Events))
		row[8] = shortened(printable(p.Position))
	}
	if s.EventRate > 0 {
		row[7] = humanize.Comma(int64(s.EventRate)) + " events/s"
	}
	return row
}

func holders(s *jobs.JobStatus) string {
	var names []string
	for _, h := range s.Holders {
		name := fmt.Sprintf("%s, process %d", h.Host, h.PID)
		if h.Shard != "" {
			name += " (" + h.Shard + ")"
		}
		names = append(names, name)
	}
	return orDash(strings.Join(names, "\n"))
}

func passText(s *jobs.JobStatus) string {
	switch {
	case s.Pass.Done:
		return fmt.Sprintf("%d, done", s.Pass.Number)
	case s.Pass.Halted:
		return fmt.Sprintf("%d, halted", s.Pass.Number)
	case s.Percent != nil:
		return fmt.Sprintf("%d, %.0f %%", s.Pass.Number, *s.Percent)
	}
	return fmt.Sprintf("%d, not done", s.Pass.Number)
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
