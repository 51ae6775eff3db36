package main

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) stateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "state",
		Short: "See, migrate and move the store of what was delivered",
		Long: "The state store holds what outlives a run: what was delivered, where to go on, rejects, leases. Commands\n" +
			"bring its schema up to date when they need to, unless --no-migrate is given.",
		Args: knownCommand,
		RunE: printHelp,
	}
	c.AddCommand(a.stateStatus(), a.stateMigrate(), a.stateCopy(), a.stateExport(), a.stateImport())
	return c
}

// stateRecord is the state of a state store as it is printed.
type stateRecord struct {
	Store   string `json:"store"`
	Schema  int64  `json:"schema"`
	Program int64  `json:"program_schema"`
	Status  string `json:"status"`
	jobs.StateSize
}

func (a *app) stateStatus() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "status JOB.yaml",
		Short: "Show where a job's state is, whether its schema is that of this program, and how much it holds",
		Args:  oneJob,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := a.loadSpec(args[0])
			if err != nil {
				return err
			}
			schema, err := spec.State.Schema(c.Context())
			if err != nil {
				return err
			}
			size, err := spec.State.Size(c.Context())
			if err != nil {
				return err
			}
			r := stateRecord{schema.Place, schema.Version, schema.Program, schemaStatus(schema), size}
			if size.Moved != "" {
				r.Status = "moved to " + size.Moved
			}
			return a.printState(output, r)
		},
	}
	outputFlag(c, &output)
	return c
}

func (a *app) printState(output string, r stateRecord) error {
	size := "-" // of another schema, or of no store
	if r.Bytes > 0 {
		size = humanize.Bytes(uint64(r.Bytes))
	}
	err := a.print(output, r, table.Row{"store", "schema", "program", "status", "size"},
		[]table.Row{{r.Store, r.Schema, r.Program, r.Status, size}})
	if err != nil || output != outputTable || len(r.Jobs) == 0 {
		return err
	}
	var rows []table.Row
	for _, j := range r.Jobs {
		rows = append(rows, table.Row{j.Job, j.Label, humanize.Comma(int64(j.Conversations)), humanize.Comma(int64(j.Events)),
			humanize.Comma(int64(j.Rejects)), humanize.Comma(int64(j.Due))})
	}
	fmt.Fprintln(a.out)
	return a.print(output, nil, table.Row{"job", "into", "conversations", "events", "rejects", "waiting"}, rows)
}

func schemaStatus(s jobs.StateSchema) string {
	switch {
	case s.Version == 0:
		return "empty: the first run creates it"
	case s.Version < s.Program:
		return "older: chatbackfill state migrate"
	case s.Version > s.Program:
		return "newer: needs a later version of chatbackfill"
	}
	return "up to date"
}

func (a *app) stateMigrate() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate JOB.yaml",
		Short: "Bring the schema of a job's state store up to date",
		Args:  oneJob,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := a.loadSpec(args[0])
			if err != nil {
				return err
			}
			was, err := spec.State.Migrate(c.Context())
			if err != nil {
				return err
			}
			if was.Version == was.Program {
				fmt.Fprintf(a.out, "schema %d of %s is up to date\n", was.Program, was.Place)
				return nil
			}
			fmt.Fprintf(a.out, "migrated %s from schema %d to %d\n", was.Place, was.Version, was.Program)
			return nil
		},
	}
}
