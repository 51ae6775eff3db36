package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) resetCommand() *cobra.Command {
	var all, yes bool
	c := &cobra.Command{
		Use:   "reset JOB.yaml",
		Short: "Forget how far a job has read, or all that was delivered",
		Long: "reset forgets how far the job has read: the next run reads everything, and sends nothing twice. With\n" +
			"--ledger it also forgets what was delivered: the next run sends everything again, with the same ids.",
		Args: oneJob,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := a.loadSpec(args[0])
			if err != nil {
				return err
			}
			return jobs.WithLease(c.Context(), spec, a.log, func(ctx context.Context, l *jobs.Lease) error {
				return a.reset(ctx, spec, l, all, yes)
			})
		},
	}
	c.Flags().BoolVar(&all, "ledger", false, "forget what was delivered, too")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (a *app) reset(ctx context.Context, spec *jobs.Spec, l *jobs.Lease, all, yes bool) error {
	r, err := l.Job().Remembered(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s: %s of %s were delivered to %s\n", spec.Name,
		count(r.Events, "event", "events"), count(r.Conversations, "conversation", "conversations"), destination(spec))
	forget, question := l.ResetPosition, "The source is read again from the start; nothing is sent twice. Go on?"
	if all {
		forget, question = l.ResetAll, "All of them would be sent again, with the same ids. Segment removes duplicates for about a day, "+
			"warehouses and most destinations do not. Go on?"
	}
	if err := a.confirm(question, yes); err != nil {
		return err
	}
	if err := forget(ctx); err != nil {
		return err
	}
	fmt.Fprintln(a.out, "forgotten")
	return nil
}

// confirm asks a person to say yes, unless that was said already.
func (a *app) confirm(question string, yes bool) error {
	if yes {
		return nil
	}
	fmt.Fprintf(a.out, "%s [y/N] ", question)
	answer, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && answer == "" {
		return usageError(errors.New("nobody answered"), "--yes, when nobody can be asked")
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return usageError(errors.New("nothing was changed"), "--yes to go on without being asked")
}
