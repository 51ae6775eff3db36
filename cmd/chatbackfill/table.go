package main

import (
	"encoding/json"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
)

// The formats of what prints a table.
const (
	outputTable = "table"
	outputJSON  = "json"
)

func outputFlag(c *cobra.Command, output *string) {
	c.Flags().StringVarP(output, "output", "o", outputTable, "format of the output: table or json")
}

func checkOutput(output string) error {
	if output == outputTable || output == outputJSON {
		return nil
	}
	return usageError(fmt.Errorf("--output %q: there is table and json", output), "-o json")
}

func (a *app) printJSON(data any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(data)
}

// print prints rows as a table, or data as JSON.
func (a *app) print(output string, data any, header table.Row, rows []table.Row) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	if output == outputJSON {
		return a.printJSON(data)
	}
	t := table.NewWriter()
	t.SetOutputMirror(a.out)
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "  "
	style.Format.Header = text.FormatLower
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.AppendHeader(header)
	t.AppendRows(rows)
	t.Render()
	return nil
}
