package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) rejectsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rejects",
		Short: "See and settle what could not be read or delivered",
		Long: "A reject is a row or an event that cannot be delivered, kept with its reason. A row that cannot be read\n" +
			"holds back its whole conversation, for a missing first message would give a wrong start. Rejects of rows\n" +
			"close by themselves once the row reads clean.",
		Args: knownCommand,
		RunE: printHelp,
	}
	c.AddCommand(
		a.rejectsList(), a.rejectsCount(), a.rejectsShow(), a.rejectsExport(),
		a.rejectsSettle("accept", jobs.RejectAccepted, "Say that rejects are all right; a run that was halted goes on"),
		a.rejectsSettle("drop", jobs.RejectDropped, "Say that rejects are never to be delivered"),
		a.rejectsRetry(),
	)
	return c
}

// rejectFlags select rejects.
func rejectFlags(c *cobra.Command, f *jobs.RejectFilter) {
	c.Flags().StringVar(&f.Reason, "reason", "", "only those with this reason, for example unknown_role")
}

// rejectArgs are the arguments of commands on rejects: a job file, and ids.
func rejectArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError(fmt.Errorf("%s takes a job file", c.CommandPath()), c.CommandPath()+" JOB.yaml")
	}
	_, err := rejectIDs(args[1:])
	return err
}

func rejectIDs(args []string) ([]int64, error) {
	var ids []int64
	for _, arg := range args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return nil, usageError(fmt.Errorf("reject %q: it is no number", arg), "the number that rejects list shows first")
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// loadRejects reads the arguments that rejectArgs checks: a job file, and the ids
// of rejects into a filter.
func (a *app) loadRejects(args []string, f *jobs.RejectFilter) (spec *jobs.Spec, err error) {
	if f.IDs, err = rejectIDs(args[1:]); err != nil {
		return nil, err
	}
	return a.loadSpec(args[0])
}

// withRejects calls do with the selected rejects of a job.
func (a *app) withRejects(ctx context.Context, args []string, f jobs.RejectFilter, do func(spec *jobs.Spec, found []jobs.StoredReject) error) error {
	spec, err := a.loadRejects(args, &f)
	if err != nil {
		return err
	}
	return jobs.WithState(ctx, spec, func(j *jobs.JobState) error {
		found, err := j.FindRejects(ctx, f)
		if err != nil {
			return err
		}
		return do(spec, found)
	})
}

func (a *app) rejectsList() *cobra.Command {
	var f jobs.RejectFilter
	var output string
	var all bool
	c := &cobra.Command{
		Use:   "list JOB.yaml",
		Short: "List the rejects that are open",
		Args:  rejectArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if !all {
				f.State = jobs.RejectOpen
			}
			return a.withRejects(c.Context(), args, f, func(_ *jobs.Spec, found []jobs.StoredReject) error {
				return a.listRejects(output, found)
			})
		},
	}
	rejectFlags(c, &f)
	outputFlag(c, &output)
	c.Flags().BoolVar(&all, "all", false, "list those accepted, dropped and closed too")
	return c
}

func (a *app) listRejects(output string, found []jobs.StoredReject) error {
	data, rows := []rejectRecord{}, []table.Row{}
	for i := range found {
		r := &found[i]
		data = append(data, recordOf(r))
		rows = append(rows, table.Row{r.ID, r.State, r.Reason, printable(r.ConversationID), r.Locator, r.Detail})
	}
	if len(rows) == 0 && output == outputTable {
		fmt.Fprintln(a.out, "no rejects")
		return nil
	}
	return a.print(output, data, table.Row{"id", "state", "reason", "conversation", "where", "what"}, rows)
}

// rejectRecord is a reject as it is exported.
type rejectRecord struct {
	ID             int64           `json:"id"`
	State          string          `json:"state"`
	Stage          string          `json:"stage"`
	Reason         string          `json:"reason"`
	Set            string          `json:"set,omitempty"`
	Locator        string          `json:"locator"`
	ConversationID string          `json:"conversation_id,omitempty"`
	MessageID      string          `json:"message_id,omitempty"`
	Detail         string          `json:"detail"`
	Payload        json.RawMessage `json:"payload,omitempty"`
	FirstSeen      time.Time       `json:"first_seen"`
	LastSeen       time.Time       `json:"last_seen"`
}

func recordOf(r *jobs.StoredReject) rejectRecord {
	return rejectRecord{
		ID: r.ID, State: r.State, Stage: string(r.Stage), Reason: string(r.Reason), Set: r.Set, Locator: r.Locator,
		ConversationID: r.ConversationID, MessageID: r.MessageID, Detail: r.Detail, Payload: json.RawMessage(r.Payload),
		FirstSeen: r.FirstSeen.UTC(), LastSeen: r.LastSeen.UTC(),
	}
}

// printable returns an id as a terminal can show it.
func printable(id string) string {
	return strings.Trim(strconv.QuoteToGraphic(id), `"`)
}

func (a *app) rejectsCount() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "count JOB.yaml",
		Short: "Count the open rejects by reason",
		Args:  oneJob,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withRejects(c.Context(), args, jobs.RejectFilter{State: jobs.RejectOpen}, func(_ *jobs.Spec, found []jobs.StoredReject) error {
				counts := make(map[string]int)
				for i := range found {
					counts[string(found[i].Reason)]++
				}
				var rows []table.Row
				for _, reason := range slices.Sorted(maps.Keys(counts)) {
					rows = append(rows, table.Row{counts[reason], reason})
				}
				return a.print(output, counts, table.Row{"rejects", "reason"}, rows)
			})
		},
	}
	outputFlag(c, &output)
	return c
}

func (a *app) rejectsShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show JOB.yaml ID...",
		Short: "Show everything that is known of a reject",
		Args:  rejectArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageError(errors.New("rejects show takes the ids of rejects"), "chatbackfill rejects list "+args[0])
			}
			return a.withRejects(c.Context(), args, jobs.RejectFilter{}, func(spec *jobs.Spec, found []jobs.StoredReject) error {
				if len(found) == 0 {
					return usageError(fmt.Errorf("job %s has no such reject", spec.Name), "chatbackfill rejects list "+args[0])
				}
				encoder := json.NewEncoder(a.out)
				encoder.SetIndent("", "  ")
				for i := range found {
					if err := encoder.Encode(recordOf(&found[i])); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (a *app) rejectsExport() *cobra.Command {
	var f jobs.RejectFilter
	c := &cobra.Command{
		Use:   "export JOB.yaml",
		Short: "Print the open rejects as NDJSON",
		Args:  rejectArgs,
		RunE: func(c *cobra.Command, args []string) error {
			f.State = jobs.RejectOpen
			return a.withRejects(c.Context(), args, f, func(_ *jobs.Spec, found []jobs.StoredReject) error {
				encoder := json.NewEncoder(a.out)
				for i := range found {
					if err := encoder.Encode(recordOf(&found[i])); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	rejectFlags(c, &f)
	return c
}

func (a *app) rejectsSettle(name, state, short string) *cobra.Command {
	var f jobs.RejectFilter
	c := &cobra.Command{
		Use:   name + " JOB.yaml [ID...]",
		Short: short,
		Args:  rejectArgs,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := a.loadRejects(args, &f)
			if err != nil {
				return err
			}
			return jobs.WithLease(c.Context(), spec, a.log, func(ctx context.Context, l *jobs.Lease) error {
				found, err := l.Settle(ctx, f, state)
				if err != nil {
					return err
				}
				fmt.Fprintf(a.out, "%s %s\n", count(len(found), "reject", "rejects"), state)
				return nil
			})
		},
	}
	rejectFlags(c, &f)
	return c
}

func (a *app) rejectsRetry() *cobra.Command {
	var f jobs.RejectFilter
	c := &cobra.Command{
		Use:   "retry JOB.yaml [ID...]",
		Short: "Read the conversations of open rejects again and send what is good now",
		Args:  rejectArgs,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := a.loadRejects(args, &f)
			if err != nil {
				return err
			}
			return a.retryRejects(c.Context(), spec, f)
		},
	}
	rejectFlags(c, &f)
	return c
}

func (a *app) retryRejects(ctx context.Context, spec *jobs.Spec, f jobs.RejectFilter) error {
	if !spec.Ledger {
		return usageError(errors.New("rejects retry delivers a part of a job, and ledger: off does not know what of it was delivered"),
			"ledger: on from the first run")
	}
	f.State = jobs.RejectOpen
	selection := &jobs.Selection{Conversations: make(map[string]bool), Retry: make(map[int64]bool)}
	err := jobs.WithState(ctx, spec, func(j *jobs.JobState) error {
		found, err := j.FindRejects(ctx, f)
		for i := range found {
			selection.Conversations[found[i].ConversationID] = true
			selection.Retry[found[i].ID] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(selection.Retry) == 0 {
		fmt.Fprintln(a.out, "no open rejects")
		return nil
	}
	return a.runJob(ctx, jobs.Execution{Spec: spec, Select: selection})
}
