package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) checkCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "check JOB.yaml...",
		Short: "Look at everything that a run needs, short of sending",
		Long: "check opens the source, looks at columns, rights, indexes and values, rebuilds a sample of conversations,\n" +
			"and looks whether the state can be kept and the destination be reached. It writes nothing and sends nothing.\n" +
			"It exits 0 if a run would work, even with warnings; else with the code that the run would exit with.",
		Args: someJobs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.check(c.Context(), output, args)
		},
	}
	outputFlag(c, &output)
	return c
}

// checkedJob is what was found of a job as it is printed.
type checkedJob struct {
	File     string              `json:"file"`
	Findings []jobs.CheckFinding `json:"findings"`
}

func (a *app) check(ctx context.Context, output string, files []string) error {
	if output != outputTable && output != outputJSON {
		return a.print(output, nil, nil, nil)
	}
	all := []checkedJob{}
	exit := 0
	for i, file := range files {
		p := checkPrinter{app: a, quiet: output == outputJSON, width: a.width(), colorful: a.colorful(a.out)}
		p.heading(i, file)
		a.checkFile(ctx, file, p.finding)
		all = append(all, checkedJob{file, p.all})
		for _, f := range p.all {
			exit = cmp.Or(exit, f.Exit)
		}
		p.conclude(file)
	}
	if output == outputJSON {
		if err := a.print(output, all, nil, nil); err != nil {
			return err
		}
	}
	if exit != 0 {
		return &jobs.Error{Exit: exit, Err: errors.New("a run would fail")}
	}
	return ctx.Err()
}

func (a *app) checkFile(ctx context.Context, file string, found func(jobs.CheckFinding)) {
	spec, err := a.loadSpec(file)
	if err != nil {
		found(jobs.CheckFinding{Check: "job file", Status: jobs.CheckFailed, Text: err.Error(), Exit: jobs.ExitCode(err)})
		return
	}
	jobs.Check(ctx, jobs.Execution{Spec: spec, Log: a.log, Version: programVersion()}, found)
}

// checkPrinter prints findings as they come.
type checkPrinter struct {
	*app
	all      []jobs.CheckFinding
	quiet    bool // they are printed together at the end
	width    int
	indent   int // of values; 0: below the text of a finding
	colorful bool
}

var statusColors = map[string]string{jobs.CheckOK: "\x1b[32m", jobs.CheckWarning: "\x1b[33m", jobs.CheckFailed: "\x1b[1;31m"}

// checkIndent is where the text of a finding begins.
const checkIndent = 24

func (p *checkPrinter) heading(i int, file string) {
	if p.quiet {
		return
	}
	if i > 0 {
		fmt.Fprintln(p.out)
	}
	fmt.Fprintf(p.out, "%s\n\n", file)
}

func (p *checkPrinter) finding(f jobs.CheckFinding) {
	p.all = append(p.all, f)
	if p.quiet {
		return
	}
	status := fmt.Sprintf("%-9s", f.Status)
	if p.colorful {
		status = statusColors[f.Status] + status + "\x1b[0m"
	}
	fmt.Fprintf(p.out, "  %s%-13s", status, f.Check)
	p.text(f.Text, "")
	p.values(&f)
	if f.Try != "" {
		fmt.Fprint(p.out, strings.Repeat(" ", checkIndent))
		p.text("try: "+f.Try, "     ")
	}
}

// text prints a text from checkIndent on, lines after the first further in.
func (p *checkPrinter) text(s, further string) {
	if strings.Contains(s, "\n    ") { // a mistake in the job file, which shows its place
		fmt.Fprintf(p.out, "\n%s\n", harmless(s))
		return
	}
	lines := wrap(harmless(s), p.width-checkIndent-len(further))
	for i, line := range lines {
		if i > 0 {
			fmt.Fprint(p.out, strings.Repeat(" ", checkIndent)+further)
		}
		fmt.Fprintln(p.out, line)
	}
}

// shownValues is how many values of role or kind are listed of those that have
// their meaning. Those without are listed all.
const shownValues = 12

func (p *checkPrinter) values(f *jobs.CheckFinding) {
	left, indent := 0, p.indent
	if indent == 0 {
		indent = checkIndent - 2
	}
	before := strings.Repeat(" ", indent)
	for i, v := range f.Values {
		means := v.Means
		if v.Rejected > 0 {
			means = "?"
		} else if i >= shownValues {
			left++
			continue
		} else if means == "" {
			means = "not needed"
		}
		value := harmless(v.Value)
		fmt.Fprintf(p.out, "%s%12s  %s → %s\n", before, humanize.Comma(v.Rows), value, means)
	}
	if left > 0 {
		fmt.Fprintf(p.out, "%s%12s  further values\n", before, humanize.Comma(int64(left)))
	}
}

// conclude says what comes next.
func (p *checkPrinter) conclude(file string) {
	if p.quiet {
		return
	}
	counts := make(map[string]int)
	for _, f := range p.all {
		counts[f.Status]++
	}
	fmt.Fprintf(p.out, "\n%d ok, %s, %d failed\n", counts[jobs.CheckOK], count(counts[jobs.CheckWarning], "warning", "warnings"), counts[jobs.CheckFailed])
	if counts[jobs.CheckFailed] == 0 {
		fmt.Fprintf(p.out, "next: chatbackfill preview %s\n", file)
	}
}
