package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) showCommand() *cobra.Command {
	var diff bool
	var output string
	c := &cobra.Command{
		Use:   "show JOB.yaml",
		Short: "Show the job as it will run: defaults filled in, variables resolved, secrets hidden",
		Args:  oneJob,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := a.loadSpec(args[0])
			if err != nil {
				return err
			}
			if diff {
				return jobs.WithState(c.Context(), spec, func(j *jobs.JobState) error { return a.showDiff(c.Context(), j, spec, output) })
			}
			return a.show(c.Context(), spec, output)
		},
	}
	c.Flags().BoolVar(&diff, "diff", false, "show how the settings differ from those that the job ran with last")
	outputFlag(c, &output)
	return c
}

func (a *app) show(ctx context.Context, spec *jobs.Spec, output string) error {
	resolved := spec.Resolved()
	// The rest can be shown of a database that cannot be reached, too.
	statements, err := jobs.Statements(ctx, jobs.Execution{Spec: spec, Log: a.log})
	if err != nil {
		a.log.Warn("the SQL cannot be shown", "error", err)
	}
	if output == outputJSON && len(statements) > 0 {
		sql := make(map[string]string)
		for _, s := range statements {
			sql[s.Set] = s.SQL
		}
		resolved["sql"] = sql
		return a.printJSON(resolved)
	}
	var rows []table.Row
	for _, path := range slices.Sorted(maps.Keys(resolved)) {
		rows = append(rows, table.Row{path, fmt.Sprint(resolved[path])})
	}
	if err := a.print(output, resolved, table.Row{"setting", "value"}, rows); err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := fmt.Fprintf(a.out, "\nsql of %s\n  %s\n", s.Set, s.SQL); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) showDiff(ctx context.Context, j *jobs.JobState, spec *jobs.Spec, output string) error {
	ran, err := j.Settings(ctx)
	if err != nil {
		return err
	}
	changes, err := j.SettingChanges(ctx, spec)
	if err != nil {
		return err
	}
	switch {
	case output != outputTable:
		return a.print(output, append([]jobs.SettingChange{}, changes...), nil, nil)
	case len(changes) > 0:
		fmt.Fprintln(a.out, jobs.FormatChanges(changes))
	case ran == nil:
		fmt.Fprintln(a.out, "the job has not run yet: there is nothing to compare with")
	default:
		fmt.Fprintln(a.out, "the settings are those that the job ran with, but for what a run may change freely")
	}
	return nil
}

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of job files, for editors",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := jobs.Schema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.out, string(schema))
			return err
		},
	}
}
