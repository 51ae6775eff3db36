package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func (a *app) forgetCommand() *cobra.Command {
	var who jobs.Subjects
	var yes, slow bool
	var output string
	c := &cobra.Command{
		Use:   "forget JOB.yaml",
		Short: "Send nothing of a customer any more, and list what was sent",
		Long: "forget is for a deletion request. It reads the source to find the customer's conversations, lists what was\n" +
			"sent of them, prints the call that makes Segment delete it, and asks. Then it adds the customer to the\n" +
			"suppress list of the state store, as a hash, under all labels of the job, and deletes the rejects of these\n" +
			"conversations. It calls nobody: what was sent is deleted by Segment and its destinations, at your request.",
		Args: oneJob,
		RunE: func(c *cobra.Command, args []string) error {
			if len(who.UserIDs)+len(who.AnonymousIDs)+len(who.Conversations) == 0 {
				return usageError(errors.New("forget takes whom: --user-id, --anonymous-id or --conversation"),
					"chatbackfill forget "+args[0]+" --user-id ID")
			}
			if output == outputJSON && !yes {
				return usageError(errors.New("with -o json nobody can be asked"), "--yes")
			}
			spec, err := a.loadSpec(args[0])
			if err != nil {
				return err
			}
			err = jobs.ExecuteForget(c.Context(), jobs.Execution{Spec: spec, Log: a.log, AllowSlow: slow}, who, func(f jobs.Forgotten) error {
				return a.forget(spec, who, f, output, yes)
			})
			if err == nil && output == outputTable {
				fmt.Fprintln(a.out, "forgotten: nothing of them is sent any more")
			}
			return err
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&who.UserIDs, "user-id", nil, "the customer with this `id` (may be repeated)")
	flags.StringArrayVar(&who.AnonymousIDs, "anonymous-id", nil, "the customer with this anonymous `id` (may be repeated)")
	flags.StringArrayVar(&who.Conversations, "conversation", nil, "the conversation with this `id`, when its customer has none (may be repeated)")
	flags.BoolVar(&yes, "yes", false, "do not ask")
	flags.BoolVar(&slow, "allow-slow", false, "read from Postgres also where an index is missing")
	outputFlag(c, &output)
	return c
}

// forgetRecord is what forget prints as JSON.
type forgetRecord struct {
	jobs.Subjects
	Found    jobs.Forgotten `json:"found"`
	Deletion string         `json:"deletion_call,omitempty"` // of Segment's Public API
}

func (a *app) forget(spec *jobs.Spec, who jobs.Subjects, f jobs.Forgotten, output string, yes bool) error {
	call := deletionCall(spec, who)
	if output != outputTable {
		return a.print(output, forgetRecord{who, f, call}, nil, nil)
	}
	rows := []table.Row{}
	unknown := 0
	for _, c := range f.Conversations {
		unknown += c.Unknown
		for _, e := range c.Events {
			rows = append(rows, table.Row{printable(c.ID), e.Event, e.Timestamp.UTC().Format("2006-01-02 15:04:05"), e.MessageID})
			for _, id := range e.Revised {
				rows = append(rows, table.Row{"", "if it was sent again", "", id})
			}
		}
	}
	fmt.Fprintf(a.out, "%s: %s of %s of theirs were sent to %s\n", spec.Name,
		count(f.Events, "event", "events"), count(len(f.Conversations), "conversation", "conversations"), destination(spec))
	if len(rows) > 0 {
		fmt.Fprintln(a.out)
		if err := a.print(output, nil, table.Row{"conversation", "event", "time", "messageId"}, rows); err != nil {
			return err
		}
	}
	if unknown > 0 {
		fmt.Fprintf(a.out, "\nand %s that the source does not have any more\n", count(unknown, "event", "events"))
	}
	a.explainDeletion(f, call)
	return a.confirm(fmt.Sprintf("\nAdd them to the suppress list, and delete %s? There is no command that takes this back.",
		count(f.Rejects, "reject", "rejects")), yes)
}

func (a *app) explainDeletion(f jobs.Forgotten, call string) {
	if ids := f.UserIDs; len(ids) > 0 {
		fmt.Fprintf(a.out, "\nuser ids in these events: %s\n", strings.Join(ids, " "))
	}
	if ids := f.AnonymousIDs; len(ids) > 0 {
		fmt.Fprintf(a.out, "\nanonymous ids in these events: %s\n", strings.Join(ids, " "))
		fmt.Fprintln(a.out, "Segment deletes by user id only: what has no user id is deleted in each warehouse and destination, by anonymous id or messageId")
	}
	if call != "" {
		fmt.Fprintln(a.out, "\nThis makes Segment delete what it has of the user, in the whole workspace, and drop what comes later (nothing was called):")
		fmt.Fprintf(a.out, "\n%s\n", call)
	}
}

// deletionCall returns the call of Segment's Public API that deletes what it has
// of the users. It knows user ids only.
func deletionCall(spec *jobs.Spec, who jobs.Subjects) string {
	s := spec.Destination.Segment
	if s == nil || len(who.UserIDs) == 0 {
		return ""
	}
	host := "api.segmentapis.com"
	if s.Region == "eu" || strings.Contains(s.Endpoint, ".eu1.") {
		host = "eu1.api.segmentapis.com"
	}
	ids, err := json.Marshal(who.UserIDs)
	if err != nil {
		panic(err) // texts always encode
	}
	return `curl https://` + host + `/regulations \
  -H "Authorization: Bearer $SEGMENT_PUBLIC_API_TOKEN" \
  -H "Content-Type: application/vnd.segment.v1+json" \
  -d '{"regulationType": "SUPPRESS_WITH_DELETE", "subjectType": "USER_ID", "subjectIds": ` + shellQuoted(string(ids)) + `}'`
}

// shellQuoted returns text as it stands inside of single quotes.
func shellQuoted(text string) string { return strings.ReplaceAll(text, "'", `'\''`) }
