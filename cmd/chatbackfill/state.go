package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) stateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "state",
		Short: "See and migrate the store of what was delivered",
		Long: "The state store holds what outlives a run: what was delivered, where to go on, rejects, leases. Commands\n" +
			"bring its schema up to date when they need to, unless --no-migrate is given.",
	}
	c.AddCommand(a.stateStatus(), a.stateMigrate())
	return c
}

// stateRecord is the state of a state store as it is printed.
type stateRecord struct {
	Store   string `json:"store"`
	Schema  int64  `json:"schema"`
	Program int64  `json:"program_schema"`
	Status  string `json:"status"`
}

func (a *app) stateStatus() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "status JOB.yaml",
		Short: "Show where a job's state is and whether its schema is that of this program",
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
			r := stateRecord{schema.Place, schema.Version, schema.Program, schemaStatus(schema)}
			return a.print(output, r, table.Row{"store", "schema", "program", "status"},
				[]table.Row{{r.Store, r.Schema, r.Program, r.Status}})
		},
	}
	outputFlag(c, &output)
	return c
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
