package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) stateCopy() *cobra.Command {
	var from, to string
	c := &cobra.Command{
		Use:   "copy --from STORE --to STORE",
		Short: "Move all state into another store, from SQLite to Postgres or back",
		Long: "copy puts all that a store holds into another, in one transaction, compares the numbers of rows, and marks\n" +
			"the old store: no job runs on it any more. It takes the leases of all jobs: none may be under way. A STORE is\n" +
			"sqlite:PATH, postgres://…, or a job file, which stands for the store that it names, so that no password is\n" +
			"on the command line.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if from == "" || to == "" {
				return usageError(errors.New("state copy takes two stores"), "chatbackfill state copy --from sqlite:job.state.db --to job.yaml")
			}
			source, err := a.store("--from", from)
			if err != nil {
				return err
			}
			target, err := a.store("--to", to)
			if err != nil {
				return err
			}
			rows, err := jobs.CopyState(c.Context(), source, target, a.log)
			if err != nil {
				return err
			}
			a.printRows("copied", rows)
			fmt.Fprintln(a.out, "no job runs on the old store any more; state: in the job file has to name the new one")
			return nil
		},
	}
	c.Flags().StringVar(&from, "from", "", "the `store` that is in use")
	c.Flags().StringVar(&to, "to", "", "the `store` to be used, which has no state of these jobs")
	return c
}

// store returns the store that a flag names.
func (a *app) store(flag, text string) (jobs.StateRef, error) {
	if extension := filepath.Ext(text); extension == ".yaml" || extension == ".yml" {
		spec, err := a.loadSpec(text)
		if err != nil {
			return jobs.StateRef{}, err
		}
		return spec.State, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return jobs.StateRef{}, err
	}
	ref, ok := jobs.ParseState(text, dir)
	if !ok {
		return ref, usageError(fmt.Errorf("%s: it is neither sqlite:PATH, postgres://… nor a job file", flag), flag+" sqlite:job.state.db")
	}
	ref.NoMigrate, ref.Log = a.noMigrate, a.log
	return ref, nil
}

func (a *app) stateExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export JOB.yaml FILE",
		Short: "Write all that a job's state store holds into a file",
		Long: "export writes all that the store holds, of all jobs in it, into a new file: lines of JSON, compressed if the\n" +
			"name ends in .zst. There are no secrets in it, but ids of conversations. No job may be under way.",
		Args: jobAndFile,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := a.loadSpec(args[0])
			if err != nil {
				return err
			}
			rows, err := jobs.ExportState(c.Context(), spec.State, args[1], programVersion(), a.log)
			if err != nil {
				return err
			}
			a.printRows("exported", rows)
			return nil
		},
	}
}

func (a *app) stateImport() *cobra.Command {
	return &cobra.Command{
		Use:   "import JOB.yaml FILE",
		Short: "Read what state export has written into a job's state store",
		Long: "import reads an export of this or an older version into the store of the job file, which must have no state\n" +
			"of the same jobs. What was delivered after the export is not in it: the next run sends that again.",
		Args: jobAndFile,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := a.loadSpec(args[0])
			if err != nil {
				return err
			}
			rows, err := jobs.ImportState(c.Context(), args[1], spec.State)
			if err != nil {
				return err
			}
			a.printRows("imported", rows)
			return nil
		},
	}
}

func jobAndFile(c *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usageError(fmt.Errorf("%s takes a job file and a file", c.CommandPath()), c.CommandPath()+" JOB.yaml state.ndjson.zst")
	}
	return nil
}

// printRows says how many rows of each table there were.
func (a *app) printRows(verb string, rows map[string]int64) {
	var parts []string
	for _, table := range slices.Sorted(maps.Keys(rows)) {
		if rows[table] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", table, rows[table]))
		}
	}
	fmt.Fprintf(a.out, "%s: %s\n", verb, strings.Join(parts, ", "))
}
