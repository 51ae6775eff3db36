package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) runsCommand() *cobra.Command {
	var output string
	var limit int
	c := &cobra.Command{
		Use:   "runs JOB.yaml",
		Short: "List the runs of a job, newest first",
		Args:  oneJob,
		RunE: func(c *cobra.Command, args []string) error {
			return a.listRuns(c.Context(), args[0], output, limit)
		},
	}
	outputFlag(c, &output)
	c.Flags().IntVarP(&limit, "limit", "n", 20, "how many")
	c.AddCommand(a.runsShow())
	return c
}

func (a *app) listRuns(ctx context.Context, file, output string, limit int) error {
	if limit < 1 {
		return usageError(fmt.Errorf("--limit %d: it must be 1 or more", limit), "--limit 20")
	}
	return a.withRuns(ctx, file, func(j *jobs.JobState) error {
		runs, err := j.Runs(ctx, limit)
		if err != nil {
			return err
		}
		if len(runs) == 0 && output == outputTable {
			fmt.Fprintln(a.out, "no runs")
			return nil
		}
		rows := []table.Row{}
		for i := range runs {
			rows = append(rows, runRow(&runs[i]))
		}
		return a.print(output, append([]jobs.RunRecord{}, runs...), table.Row{"run", "state", "exit", "started", "took", "rows", "events", "rejected", "on", "error"}, rows)
	})
}

func (a *app) withRuns(ctx context.Context, file string, do func(j *jobs.JobState) error) error {
	spec, err := a.loadSpec(file)
	if err != nil {
		return err
	}
	return jobs.WithState(ctx, spec, do)
}

func runRow(r *jobs.RunRecord) table.Row {
	rejected := 0
	for _, n := range r.Rejected {
		rejected += n
	}
	return table.Row{
		shortID(r.ID), r.State, exitText(r), r.Started.Format("2006-01-02 15:04:05 MST"), tookText(r),
		humanize.Comma(int64(r.Rows)), humanize.Comma(int64(r.Events)), humanize.Comma(int64(rejected)),
		fmt.Sprintf("%s, process %d", r.Host, r.PID), shortened(printable(r.Error)),
	}
}

// shortID returns as much of a run's id as tells it from the others.
func shortID(id string) string { return id[:min(8, len(id))] }

func exitText(r *jobs.RunRecord) string {
	if r.Exit == nil {
		return "-"
	}
	return fmt.Sprint(*r.Exit)
}

func tookText(r *jobs.RunRecord) string {
	if r.Ended == nil {
		return "-"
	}
	return r.Ended.Sub(r.Started).Round(10 * time.Millisecond).String()
}

func (a *app) runsShow() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "show JOB.yaml ID",
		Short: "Show everything that is known of a run",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError(fmt.Errorf("%s takes a job file and the id of a run", c.CommandPath()), c.CommandPath()+" JOB.yaml ID")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.showRun(c.Context(), args[0], args[1], output)
		},
	}
	outputFlag(c, &output)
	return c
}

func (a *app) showRun(ctx context.Context, file, id, output string) error {
	return a.withRuns(ctx, file, func(j *jobs.JobState) error {
		runs, err := j.RunsByID(ctx, id)
		switch {
		case err != nil:
			return err
		case len(runs) == 0 || id == "":
			return usageError(fmt.Errorf("job %s has no run %q", j.Name, id), "chatbackfill runs "+file)
		case len(runs) > 1:
			return usageError(fmt.Errorf("the ids of %d runs of job %s begin with %q", len(runs), j.Name, id), "more letters of the id")
		}
		return a.print(output, runs[0], table.Row{"", ""}, runLines(&runs[0]))
	})
}

// runLines are what is known of a run, one thing a line.
func runLines(r *jobs.RunRecord) []table.Row {
	lines := []table.Row{
		{"run", r.ID}, {"state", r.State}, {"exit", exitText(r)}, {"started", r.Started.Format(time.RFC3339)}, {"took", tookText(r)},
		{"on", fmt.Sprintf("%s, process %d", r.Host, r.PID)}, {"version", r.Version},
	}
	if r.Shard != "" {
		lines = append(lines, table.Row{"shard", r.Shard})
	}
	if r.Part {
		lines = append(lines, table.Row{"part", "it was to deliver a part of the source only"})
	}
	if r.Error != "" {
		lines = append(lines, table.Row{"error", r.Error})
	}
	lines = append(lines,
		table.Row{"rows", humanize.Comma(int64(r.Rows))},
		table.Row{"conversations", humanize.Comma(int64(r.Conversations))},
		table.Row{"events sent", humanize.Comma(int64(r.Events))},
	)
	lines = append(lines, countLines("", r.Sent)...)
	lines = append(lines, countLines("row ", r.RowOutcomes)...)
	return append(lines, countLines("event ", r.EventOutcomes)...)
}

func countLines(what string, counts map[string]int) []table.Row {
	var lines []table.Row
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, table.Row{"  " + what + name, humanize.Comma(int64(counts[name]))})
	}
	return lines
}
