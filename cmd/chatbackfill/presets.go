package main

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) presetsCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "presets",
		Short: "List the presets: mappings of known systems, for preset: in a job file",
		Args:  knownCommand,
		RunE: func(*cobra.Command, []string) error {
			return a.presets(output)
		},
	}
	outputFlag(c, &output)
	c.AddCommand(a.presetsShowCommand())
	return c
}

// presetColumn is how wide what is said of a preset may be, so that no line of
// the table is longer than 80.
const presetColumn = 42

func (a *app) presets(output string) error {
	all := jobs.Presets()
	var rows []table.Row
	for _, p := range all {
		said := text.WrapSoft(p.Of, presetColumn)
		for _, caveat := range p.Caveats {
			said += "\n- " + strings.ReplaceAll(text.WrapSoft(caveat, presetColumn-2), "\n", "\n  ")
		}
		rows = append(rows, table.Row{p.Name, p.Source, said})
	}
	if err := a.print(output, all, table.Row{"preset", "source", "of"}, rows); err != nil || output != outputTable {
		return err
	}
	_, err := fmt.Fprintln(a.out, "\nchatbackfill presets show NAME prints one, with all that there is to know of it")
	return err
}

func (a *app) presetsShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Print a preset as it ships: a commented mapping, to read or to start your own from",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError(fmt.Errorf("%s takes one preset, not %d", c.CommandPath(), len(args)), "chatbackfill presets lists them")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			preset, err := jobs.FindPreset(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.out, preset.Text)
			return err
		},
	}
}
