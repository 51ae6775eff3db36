package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) verifyCommand() *cobra.Command {
	var output, export string
	var final bool
	c := &cobra.Command{
		Use:   "verify JOB.yaml",
		Short: "Compare the source with what was delivered",
		Long: "verify derives the events of the source again and compares them with the ledger. It says what is missing,\n" +
			"what has changed since it was delivered, and what the source does not have any more. It sends nothing.\n" +
			"Exit 6 if an event is missing or has changed.",
		Args: oneJob,
		RunE: func(c *cobra.Command, args []string) (err error) {
			spec, err := a.loadSpec(args[0])
			if err != nil {
				return err
			}
			findings, err := a.exportTo(export)
			if err != nil {
				return err
			}
			v, err := jobs.ExecuteVerify(c.Context(), jobs.Execution{Spec: spec, Log: a.log, Final: final}, findings)
			if f, ok := findings.(io.Closer); ok && err == nil {
				err = f.Close()
			}
			if err != nil {
				return err
			}
			if err := a.printVerification(output, v); err != nil {
				return err
			}
			return v.Err()
		},
	}
	outputFlag(c, &output)
	c.Flags().StringVar(&export, "export", "", "write every event that differs to this file, a line of JSON each")
	c.Flags().BoolVar(&final, "final", false, "expect no later rows: nothing waits for an agent")
	return c
}

// exportTo creates the file of that name, which must not exist yet; nil if the
// name is empty.
func (a *app) exportTo(path string) (io.Writer, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, usageError(err, "--export with the name of a new file")
	}
	return f, nil
}

// discrepancies are all there are, in the order in which they are shown.
var discrepancies = []jobs.Discrepancy{jobs.Missing, jobs.Changed, jobs.Extra, jobs.Gone, jobs.Suppressed}

func (a *app) printVerification(output string, v jobs.Verification) error {
	header := table.Row{"day"}
	for _, d := range discrepancies {
		header = append(header, string(d))
	}
	var rows []table.Row
	for _, day := range slices.Sorted(maps.Keys(v.Days)) {
		rows = append(rows, discrepancyRow(map[bool]string{true: "unknown", false: day}[day == ""], v.Days[day]))
	}
	rows = append(rows, discrepancyRow("total", v.Counts))
	if output == outputTable {
		fmt.Fprintf(a.out, "%s of the source compared with the ledger\n\n", count(v.Events, "event", "events"))
	}
	return a.print(output, v, header, rows)
}

func discrepancyRow(name string, counts map[jobs.Discrepancy]int) table.Row {
	row := table.Row{name}
	for _, d := range discrepancies {
		row = append(row, humanize.Comma(int64(counts[d])))
	}
	return row
}
