package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/transform"
)

// planJob prints what a run would do.
func (a *app) planJob(ctx context.Context, e jobs.Execution) error {
	ctx, stop, release := stopOnSignal(ctx, e.Spec.Drain)
	defer release()
	e.Stop, e.Log, e.Version = stop, a.log, programVersion()
	plan, err := jobs.ExecutePlan(ctx, e)
	if err != nil {
		return err
	}
	if a.output == outputJSON {
		return errors.Join(a.printJSON(planRecordOf(e.Spec, plan)), plan.Problem)
	}
	fmt.Fprintf(a.out, "%s: a plan, nothing was sent\n\n", e.Spec.Name)
	p := planPrinter{summaryPrinter{w: tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0), spec: e.Spec, s: jobs.Summary{Tally: plan.Tally}}, plan}
	p.print()
	_ = p.w.Flush()
	a.samples(plan)
	return plan.Problem
}

type planPrinter struct {
	summaryPrinter
	plan jobs.Plan
}

func (p *planPrinter) print() {
	p.read()
	byName := make(map[string]int)
	for name, n := range p.plan.New {
		byName[name.String()] = n
	}
	p.line("to send", "%s to %s", count(p.plan.Total(), "event", "events"), destination(p.spec))
	p.counts(byName)
	if n := p.plan.Tally.Events[transform.Delivered]; n > 0 {
		p.line("not again", "%s delivered before", count(n, "event", "events"))
	}
	if n := p.plan.Tally.Events[transform.Waiting]; n > 0 {
		p.line("waiting", "%s for their agent, in %s", count(n, "event", "events"), count(p.plan.Due, "conversation", "conversations"))
	}
	p.rejected()
	p.cost()
	p.times()
}

// cost prints what sending takes.
func (p *planPrinter) cost() {
	if p.plan.Total() == 0 {
		return
	}
	line := humanize.Bytes(uint64(p.plan.Bytes))
	if p.spec.Destination.Segment != nil {
		line = fmt.Sprintf("%s, %s", count(p.plan.Requests, "request", "requests"), line)
		if d := p.plan.Duration(); d > 0 {
			line += fmt.Sprintf(", %s at %g events a second", max(d.Round(time.Second), time.Second), p.plan.Rate)
		}
	}
	p.line("takes", "%s", line)
	p.line("customers", "%s: Segment counts them as tracked users (MTU) of the month of sending",
		humanize.Comma(int64(p.plan.Customers)))
}

// times prints how old the events are, and which destinations do not take
// events as old as that.
func (p *planPrinter) times() {
	if p.plan.Oldest.IsZero() {
		return
	}
	p.line("events from", "%s to %s", p.plan.Oldest.Format("2006-01-02 15:04"), p.plan.Newest.Format("2006-01-02 15:04 MST"))
	if p.spec.Destination.Segment == nil {
		return
	}
	age := time.Since(p.plan.Oldest)
	for _, d := range jobs.PickyDestinations {
		if age > d.Takes {
			p.line("", "%s", d.Says)
		}
	}
	p.line("", "Engage audiences with time windows can be triggered by old events")
}

func (a *app) samples(plan jobs.Plan) {
	for _, name := range transform.Names {
		if sample := plan.Samples[name]; sample != nil {
			fmt.Fprintf(a.out, "\n%s\n  %s\n", name, sample)
		}
	}
}
