package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) runCommand() *cobra.Command {
	var e jobs.Execution
	var part selectionFlags
	var dry bool
	var report, shard, push, output string
	c := &cobra.Command{
		Use:   "run JOB.yaml",
		Short: "Run a job once, continuing from its checkpoint",
		Long: "run reads the job's source, rebuilds the conversations and delivers their events. What was delivered\n" +
			"is recorded: a run that is interrupted is continued by the next, and nothing is sent twice.",
		Args: oneJob,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := a.loadSpec(args[0])
			if err != nil {
				return err
			}
			e.Spec = spec
			if c.Flags().Changed("limit") && e.Limit < 1 {
				return usageError(fmt.Errorf("--limit %d: it must be 1 or more", e.Limit), "--limit 100")
			}
			if err := checkIfRunning(e.IfRunning); err != nil {
				return err
			}
			if e.Select, err = part.selection(); err != nil {
				return err
			}
			if e.Resend, err = part.resends(c.Flags().Changed("revision")); err != nil {
				return err
			}
			e.Revision = part.revision
			if e.Shard, err = jobs.ParseShard(shard); err != nil {
				return err
			}
			if err := checkReport(report, dry); err != nil {
				return err
			}
			if err := checkOutput(output); err != nil {
				return err
			}
			a.output = output
			if dry {
				return a.planJob(c.Context(), e)
			}
			if push != "" {
				return a.runAndPush(c.Context(), e, report, push)
			}
			return a.runReported(c.Context(), e, report)
		},
	}
	flags := c.Flags()
	flags.BoolVar(&e.Final, "final", false, "expect no later rows: nothing waits for an agent")
	flags.BoolVar(&e.Full, "full", false, "read everything again; what was delivered is not sent again")
	flags.BoolVar(&dry, "dry-run", false, "send nothing and checkpoint nothing, print what would be done")
	flags.IntVar(&e.Limit, "limit", 0, "rebuild at most so many conversations; the next run goes on after them")
	flags.BoolVar(&e.AllowSlow, "allow-slow", false, "read from Postgres also where an index is missing")
	part.register(flags)
	flags.StringVar(&shard, "shard", "", "read only the `I/N`th part of the conversations, I from 0")
	flags.StringVar(&report, "report", "", "write a page about the run to this HTML `file`, also when it ends with an error")
	flags.StringVar(&push, "push", "", "push the run's metrics to this Prometheus Pushgateway `URL` when it has ended")
	flags.StringVar(&e.IfRunning, "if-running", jobs.IfRunningFail, "when another run of the job is under way: fail, wait or skip")
	outputFlag(c, &output)
	flags.DurationVar(&e.WaitFor, "wait-for", 2*time.Minute, "how long --if-running wait waits")
	return c
}

func checkIfRunning(choice string) error {
	switch choice {
	case jobs.IfRunningFail, jobs.IfRunningWait, jobs.IfRunningSkip:
		return nil
	}
	return usageError(fmt.Errorf("--if-running %q: there is fail, wait and skip", choice), "--if-running skip")
}

// runReported runs a job, with a page about it if a name is given for one.
func (a *app) runReported(ctx context.Context, e jobs.Execution, report string) error {
	if report != "" {
		return a.runWithReport(ctx, e, report)
	}
	return a.runJob(ctx, e)
}

// runAndPush runs a job and pushes its metrics. That they cannot be pushed is
// logged: it is no failure of the run.
func (a *app) runAndPush(ctx context.Context, e jobs.Execution, report, gateway string) error {
	metrics := jobs.NewRunMetrics()
	e.Observer = metrics
	err := a.runReported(ctx, e, report)
	if pushErr := jobs.PushMetrics(context.WithoutCancel(ctx), jobs.NewSecret(gateway), e.Spec, metrics); pushErr != nil {
		a.log.Error("cannot push the metrics", "error", pushErr)
	}
	return err
}

func (a *app) runJob(ctx context.Context, e jobs.Execution) error {
	_, err := a.execute(ctx, e)
	return err
}

// execute runs a job and prints what it did, if it began.
func (a *app) execute(ctx context.Context, e jobs.Execution) (jobs.Summary, error) {
	ctx, stop, release := stopOnSignal(ctx, e.Spec.Drain)
	defer release()
	progress := a.newProgress()
	e.Stop, e.Log, e.Version, e.Progress = stop, a.log, programVersion(), progress.show
	summary, err := jobs.Execute(ctx, e)
	progress.end()
	if summary.RunID != "" {
		a.summarize(e.Spec, summary, err)
	}
	if alertErr := jobs.SendAlerts(context.WithoutCancel(ctx), a.log, e.Spec, summary, err); alertErr != nil {
		a.log.Error("cannot send an alert", "error", alertErr)
	}
	return summary, err
}

// stopOnSignal returns a channel that is closed by the first SIGINT or SIGTERM,
// and a context that ends when what was under way then takes longer than drain.
// A second signal ends the program at once: the next run continues from the
// last checkpoint.
func stopOnSignal(ctx context.Context, drain time.Duration) (context.Context, <-chan struct{}, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop, done := make(chan struct{}), make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			close(stop)
		case <-done:
			return
		}
		select {
		case <-signals:
			os.Exit(jobs.ExitInterrupted)
		case <-time.After(drain):
			cancel()
		case <-done:
		}
	}()
	return ctx, stop, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
