package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/jobs"
)

// version is set by the linker; a build without it says what Go knows of itself.
var version = ""

// app is what all commands share. Results go to out, progress and logs to err.
type app struct {
	in       io.Reader
	out, err io.Writer
	log      *slog.Logger
	env      func(string) (string, bool)

	logFormat string
	verbose   bool
	quiet     bool
	noMigrate bool
	output    string // of what a run did
}

// run executes a command line and returns the program's exit code.
func run(ctx context.Context, args []string, in io.Reader, out, err io.Writer) int {
	a := &app{in: in, out: out, err: err, env: os.LookupEnv}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(err)
	// Go's own exit code of a panic is 2, which says that the job file is wrong.
	failure := extract.Contain(func() error { return root.ExecuteContext(ctx) })
	a.explain(failure)
	if p, ok := failure.(*extract.Panic); ok {
		fmt.Fprintf(a.err, "%s", p.Stack)
	}
	return jobs.ExitCode(failure)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "chatbackfill",
		Short: "Backfill chat transcripts into Segment as Live Chat events",
		Long: "chatbackfill reads chat transcripts from Postgres or Parquet, rebuilds the conversations in them\n" +
			"and delivers Segment's four Live Chat events. A run that is interrupted continues where it stopped.",
		Version:           programVersion(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              knownCommand,
		RunE:              printHelp,
		PersistentPreRunE: a.setUp,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.logFormat, "log-format", "text", "format of the log on stderr: text or json")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log more")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "log errors only, show no progress")
	flags.BoolVar(&a.noMigrate, "no-migrate", false, "refuse a state store whose schema is not up to date instead of migrating it")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError(err, c.CommandPath()+" --help")
	})
	root.AddCommand(
		a.initCommand(), a.checkCommand(), a.previewCommand(),
		a.runCommand(), a.scheduleCommand(), a.statusCommand(), a.runsCommand(),
		a.acceptCommand(), a.rejectsCommand(), a.verifyCommand(), a.resetCommand(), a.forgetCommand(), a.stateCommand(),
		a.showCommand(), a.presetsCommand(), a.schemaCommand(), a.sampleCommand(), a.versionCommand(),
	)
	return root
}

// loadSpec reads a job file.
func (a *app) loadSpec(path string) (*jobs.Spec, error) {
	spec, err := jobs.LoadSpec(path, a.env)
	if err != nil {
		return nil, err
	}
	spec.State.NoMigrate, spec.State.Log = a.noMigrate, a.log
	return spec, nil
}

// setUp makes the logger once the flags are known.
func (a *app) setUp(*cobra.Command, []string) error {
	level := slog.LevelInfo
	switch {
	case a.verbose:
		level = slog.LevelDebug
	case a.quiet:
		level = slog.LevelError
	}
	switch a.logFormat {
	case "json":
		a.log = slog.New(slog.NewJSONHandler(a.err, &slog.HandlerOptions{Level: level}))
	case "text":
		a.log = slog.New(tint.NewTextHandler(a.err, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !a.colorful(a.err)}))
	default:
		return usageError(fmt.Errorf("--log-format %q: there is text and json", a.logFormat), "--log-format text")
	}
	// Package net/http logs what it makes of odd servers by package log.
	slog.SetDefault(a.log)
	return nil
}

// colorful reports whether what is written to w is seen by a person who wants
// colours.
func (a *app) colorful(w io.Writer) bool {
	_, refused := a.env("NO_COLOR")
	return isTerminal(w) && !refused
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// explain prints an error and what to do about it, of several each.
func (a *app) explain(err error) {
	if err == nil {
		return
	}
	var mistakes jobs.SpecErrors
	if errors.As(err, &mistakes) {
		fmt.Fprintln(a.err, mistakes)
		fmt.Fprintf(a.err, "error: %s\n", count(len(mistakes), "mistake", "mistakes")+" in the job file")
		return
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			a.explain(one)
		}
		return
	}
	fmt.Fprintf(a.err, "error: %v\n", err)
	var classed *jobs.Error
	if errors.As(err, &classed) && classed.Try != "" {
		fmt.Fprintf(a.err, "  try: %s\n", classed.Try)
	}
}

func usageError(err error, try string) error {
	return &jobs.Error{Exit: jobs.ExitUsage, Err: err, Try: try}
}

// knownCommand is the argument check of commands that have others below them
// and take no arguments themselves.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	try := c.CommandPath() + " --help"
	if c.SuggestionsMinimumDistance = 2; len(c.SuggestionsFor(args[0])) > 0 {
		try = c.CommandPath() + " " + c.SuggestionsFor(args[0])[0]
	}
	return usageError(fmt.Errorf("there is no command %s %s", c.CommandPath(), args[0]), try)
}

func printHelp(c *cobra.Command, _ []string) error { return c.Help() }

// oneJob is the argument check of commands that take one job file.
func oneJob(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError(fmt.Errorf("%s takes one job file, not %d", c.CommandPath(), len(args)), c.CommandPath()+" JOB.yaml")
	}
	return nil
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the program's version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.out, "chatbackfill", programVersion())
			return err
		},
	}
}

func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
