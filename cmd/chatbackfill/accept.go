package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) acceptCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "accept JOB.yaml",
		Short: "Accept changed settings after showing what follows",
		Long: "accept records the settings of the job file as those that the job runs with. A run refuses to go on when\n" +
			"they differ from what it ran with before, because what was sent cannot be taken back.",
		Args: oneJob,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := a.loadSpec(args[0])
			if err != nil {
				return err
			}
			return jobs.WithLease(c.Context(), spec, a.log, func(ctx context.Context, l *jobs.Lease) error {
				return a.accept(ctx, spec, l)
			})
		},
	}
}

func (a *app) accept(ctx context.Context, spec *jobs.Spec, l *jobs.Lease) error {
	changes, err := l.Changes(ctx, spec)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		fmt.Fprintln(a.out, "nothing to accept: the settings are those that the job ran with")
		return nil
	}
	fmt.Fprintln(a.out, "changed:")
	fmt.Fprintln(a.out, jobs.FormatChanges(changes))
	fmt.Fprintln(a.out, "what follows:")
	said := make(map[string]bool)
	for _, c := range changes {
		if text := jobs.Consequence(c.Class); !said[text] {
			said[text] = true
			fmt.Fprintln(a.out, "  "+text)
		}
	}
	if err := l.Accept(ctx, spec); err != nil {
		return err
	}
	fmt.Fprintln(a.out, "accepted")
	return nil
}
