package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/transform"
)

func (a *app) previewCommand() *cobra.Command {
	var output string
	var ids []string
	var conversations int
	c := &cobra.Command{
		Use:   "preview JOB.yaml",
		Short: "Show some conversations as a timeline, with the events that each line causes",
		Long: "preview reads some conversations and shows them as they would be sent: who wrote what when, and the events\n" +
			"that follow from it. It shows texts as message_body says. It sends nothing and needs no state store.",
		Args: oneJob,
		RunE: func(c *cobra.Command, args []string) error {
			if conversations < 1 {
				return usageError(errors.New("--conversations must be 1 at least"), "--conversations 3")
			}
			return a.preview(c.Context(), output, args[0], ids, conversations)
		},
	}
	outputFlag(c, &output)
	c.Flags().StringArrayVar(&ids, "conversation", nil, "show the conversation with this id (may be repeated)")
	c.Flags().IntVar(&conversations, "conversations", 3, "how many conversations to show, if none is named")
	return c
}

func (a *app) preview(ctx context.Context, output, file string, ids []string, conversations int) error {
	spec, err := a.loadSpec(file)
	if err != nil {
		return err
	}
	all, err := jobs.ExecutePreview(ctx, jobs.Execution{Spec: spec, Log: a.log, AllowSlow: true}, ids, conversations)
	if err != nil {
		return err
	}
	if output != outputTable {
		return a.print(output, all, nil, nil)
	}
	p := timeline{app: a, width: a.width(), colorful: a.colorful(a.out), bodies: spec.Conversation.MessageBody}
	for i := range all {
		p.conversation(&all[i])
	}
	p.legend(spec, len(all))
	return nil
}

// timeline prints conversations for people who know chats, not events.
type timeline struct {
	*app
	width    int
	colorful bool
	bodies   transform.BodyPolicy
	day      string // of the line printed last
}

// The colours of a timeline: who speaks, and what comes of it.
const (
	colorCustomer = "\x1b[1;36m"
	colorAgent    = "\x1b[1;35m"
	colorBot      = "\x1b[35m"
	colorEvent    = "\x1b[32m"
	colorBad      = "\x1b[31m"
	colorDim      = "\x1b[2m"
	colorBold     = "\x1b[1m"
	colorNone     = ""
)

var roleColors = map[string]string{"customer": colorCustomer, "agent": colorAgent, "bot": colorBot}

func (p *timeline) paint(color, s string) string {
	if !p.colorful || color == colorNone {
		return s
	}
	return color + s + "\x1b[0m"
}

// line prints a text from an indent on, as many lines as it takes.
func (p *timeline) line(indent int, color, format string, args ...any) {
	for i, line := range wrap(harmless(fmt.Sprintf(format, args...)), p.width-indent-2) {
		hang := ""
		if i > 0 {
			hang = "  "
		}
		fmt.Fprintf(p.out, "%s%s%s\n", strings.Repeat(" ", indent), hang, p.paint(color, line))
	}
}

func (p *timeline) conversation(c *jobs.PreviewedConversation) {
	p.day = ""
	p.line(0, colorBold, "conversation %s: %s, %s", printable(c.ID), count(len(c.Lines), "line", "lines"), count(c.Events, "event", "events"))
	switch {
	case c.Suppressed:
		p.line(2, colorBad, "nothing of it is sent: the customer is on the suppress list")
	case c.Rejected != "":
		p.line(2, colorBad, "nothing of it is sent (%s): %s", c.Rejected, rejectedBecause(c))
	}
	for i := range c.Lines {
		p.message(&c.Lines[i], c.Due)
	}
	p.rest(c)
	fmt.Fprintln(p.out)
}

func rejectedBecause(c *jobs.PreviewedConversation) string {
	for _, r := range c.Rejects {
		if r.Reason == c.Rejected {
			return r.Detail
		}
	}
	return "see what is rejected below"
}

// nameWidth is how long a name is shown.
const nameWidth = 40

func (p *timeline) message(l *jobs.PreviewedLine, due *time.Time) {
	if day := l.At.Format(time.DateOnly); day != p.day {
		p.day = day
		fmt.Fprintf(p.out, "\n  %s\n", p.paint(colorDim, day+" UTC"))
	}
	elapsed := ""
	if l.Elapsed != nil {
		elapsed = "+" + (time.Duration(*l.Elapsed) * time.Second).String()
	}
	who := l.Role
	if l.Name != "" {
		who += " " + text.Snip(harmless(l.Name), nameWidth, "…")
	}
	fmt.Fprintf(p.out, "  %s  %-9s  %s%s\n", l.At.Format(time.TimeOnly), elapsed, p.paint(roleColors[l.Role], who), did(l))
	p.body(l)
	for i := range l.Events {
		p.event(l, &l.Events[i])
	}
	p.outcome(l, due)
}

// did says what a row records beside what was written.
func did(l *jobs.PreviewedLine) string {
	switch l.Kind {
	case "end":
		return " ended the conversation"
	case "join":
		return " joined"
	case "assign":
		if l.Agent == "" {
			return " assigned the conversation"
		}
		return " assigned the conversation to " + text.Snip(harmless(l.Agent), nameWidth, "…")
	}
	return ""
}

// The indents of a timeline's lines below those with the time.
const (
	textIndent  = 6
	eventIndent = 6
	textLines   = 5
)

func (p *timeline) body(l *jobs.PreviewedLine) {
	switch {
	case l.Deleted:
		p.line(textIndent, colorDim, "(the text was deleted, it is not sent)")
	case l.Text == "" && p.bodies == transform.OmitBody && l.Kind == "message":
		p.line(textIndent, colorDim, "(the text is not sent)")
	case l.Text == "" && l.Kind == "message":
		p.line(textIndent, colorDim, "(no text)")
	case l.Text != "":
		lines := wrap(harmless(l.Text), p.width-textIndent)
		for _, line := range lines[:min(len(lines), textLines)] {
			fmt.Fprintf(p.out, "%s%s\n", strings.Repeat(" ", textIndent), line)
		}
		if n := len(lines) - textLines; n > 0 {
			p.line(textIndent, colorDim, "… %s more", count(n, "line", "lines"))
		}
	}
}

func (p *timeline) event(l *jobs.PreviewedLine, e *jobs.PreviewedEvent) {
	about := []string{fmt.Sprintf("%d s", e.Duration)}
	if !e.At.Equal(l.At.Truncate(time.Millisecond)) {
		about = append(about, "at "+e.At.Format(time.TimeOnly))
	}
	if e.Agent != "" {
		about = append(about, "agent "+e.Agent)
	}
	if e.Delivered {
		about = append(about, "sent before")
	}
	color := colorEvent
	if e.Delivered {
		color = colorDim
	}
	p.line(eventIndent, color, "→ %s (%s)", e.Name, strings.Join(about, ", "))
}

// outcome says why a line causes no event, if that is not plain.
func (p *timeline) outcome(l *jobs.PreviewedLine, due *time.Time) {
	outcome := transform.Outcome(l.Outcome)
	reason, rejected := strings.CutPrefix(l.Outcome, string(transform.Rejected))
	left, ignored := strings.CutPrefix(l.Outcome, string(transform.Ignored))
	switch {
	case outcome == transform.Waiting && due != nil:
		p.line(eventIndent, colorDim, "→ waits for its agent until %s", due.Format("2006-01-02 15:04 MST"))
	case ignored:
		p.line(eventIndent, colorDim, "→ no event: %s: exclude", map[string]string{"bot": "bots", "outbound": "outbound"}[left])
	case rejected && reason == string(transform.TooLarge):
		p.line(eventIndent, colorBad, "→ rejected: too large")
	}
}

// asideTexts say what the rows are that a timeline does not show.
var asideTexts = map[string]string{
	"note": "internal notes", "leave": "rows of who left", "ignore": "rows of kind ignore", "system": "messages of the system",
	"duplicate": "older versions of rows", "filtered": "rows left out by where",
}

// rest prints what has no place in time.
func (p *timeline) rest(c *jobs.PreviewedConversation) {
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(c.Aside)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", asideTexts[why], c.Aside[why]))
	}
	if len(parts)+len(c.Rejects) > 0 {
		fmt.Fprintln(p.out)
	}
	if len(parts) > 0 {
		p.line(2, colorDim, "not sent: %s", strings.Join(parts, ", "))
	}
	for _, r := range c.Rejects {
		if r.Reason == c.Rejected {
			continue
		}
		p.line(2, colorBad, "rejected (%s): %s: %s", r.Reason, r.Locator, r.Detail)
	}
}

// legend explains what the names of events do not.
func (p *timeline) legend(spec *jobs.Spec, shown int) {
	if shown == 0 {
		p.line(0, colorNone, "no conversation was found: see chatbackfill check %s", spec.File)
		return
	}
	p.line(0, colorDim, "Sent and Received are from the customer's side: what the customer wrote was sent, what an agent wrote was received. "+
		"Seconds count from the customer's first message.")
	p.line(0, colorNone, "next: chatbackfill run --dry-run %s", spec.File)
}
