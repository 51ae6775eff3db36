package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/jobs"
)

// newJob is what init was told.
type newJobFlags struct {
	postgres      string
	table         string
	parquet       []string
	preset        string
	conversations []string
	agents        []string
	name          string
	out           string
	yes, force    bool
}

func (a *app) initCommand() *cobra.Command {
	var n newJobFlags
	c := &cobra.Command{
		Use:   "init [OUT.yaml]",
		Short: "Write a job file: look at a table or at Parquet files and propose the mapping",
		Long: "init looks at the columns of a table or of Parquet files, their types and what stands in them, proposes how\n" +
			"they map, and writes a commented job file. What nobody can guess it asks for on a terminal, and marks in\n" +
			"the file otherwise. --preset writes the file for a known system. It never writes over a file unless told to.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				n.out = args[0]
			}
			return a.init(c.Context(), &n)
		},
	}
	flags := c.Flags()
	flags.StringVar(&n.postgres, "postgres", "", "connection string (`DSN`) of the database; the job file names the variable CHAT_DATABASE_URL instead")
	flags.StringVar(&n.table, "table", "", "`table` of the messages; without it the likeliest one is taken")
	flags.StringArrayVar(&n.parquet, "parquet", nil, "`file`, folder or glob of the messages (may be repeated)")
	flags.StringVar(&n.preset, "preset", "", "`name` of a known system: chatbackfill presets lists them")
	flags.StringArrayVar(&n.conversations, "conversations", nil, "`table`, or files, with a row for each conversation")
	flags.StringArrayVar(&n.agents, "agents", nil, "`table`, or files, with a row for each agent")
	flags.StringVar(&n.name, "name", "", "`name` of the job; by default that of the job file, else of the table, the files or the preset")
	flags.BoolVar(&n.yes, "yes", false, "do not ask: take what is proposed")
	flags.BoolVar(&n.force, "force", false, "write over a job file that exists")
	return c
}

func (a *app) init(ctx context.Context, n *newJobFlags) error {
	given := 0
	for _, is := range []bool{n.postgres != "", len(n.parquet) > 0, n.preset != ""} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return usageError(errors.New("say what the job reads: one of --postgres, --parquet and --preset"), "chatbackfill init --parquet 'exports/*.parquet'")
	case n.preset != "":
		return a.initPreset(n)
	}
	d, err := a.draft(ctx, n)
	if err != nil {
		return err
	}
	if err := a.write(n, d.Name, d.YAML()); err != nil {
		return err
	}
	a.proposed(n, d)
	return nil
}

// initPreset writes a job that uses a preset.
func (a *app) initPreset(n *newJobFlags) error {
	p, err := jobs.FindPreset(n.preset)
	if err != nil {
		return err
	}
	short, _, _ := strings.Cut(p.Name, "@")
	name := n.nameOr(short)
	if err := a.write(n, name, jobs.PresetJob(p, name)); err != nil {
		return err
	}
	a.say("wrote " + n.out)
	for _, caveat := range p.Caveats {
		a.say("- " + caveat)
	}
	a.next(n, p.Source == "postgres")
	return nil
}

// draft looks at the source and proposes a job.
func (a *app) draft(ctx context.Context, n *newJobFlags) (*jobs.Draft, error) {
	asker := a.newAsker(n.yes)
	source, err := a.newJobSource(ctx, n, asker)
	if err != nil {
		return nil, err
	}
	d := &jobs.Draft{Name: n.nameOr(source.name()), Postgres: n.postgres != ""}
	if err := source.messages(ctx, &d.Messages); err != nil {
		return nil, err
	}
	asker.columns(&d.Messages, source.columns)
	if d.Conversations, err = source.set(ctx, n.conversations, func(t *extract.Table) *extract.Proposal {
		like := ""
		if f := d.Messages.Proposal.Field("conversation_id"); f != nil {
			like = f.Field.Column
		}
		return extract.ProposeConversations(t, like)
	}); err != nil {
		return nil, err
	}
	if d.Agents, err = source.set(ctx, n.agents, extract.ProposeAgents); err != nil {
		return nil, err
	}
	if len(d.Messages.Proposal.Missing) == 0 {
		values, err := source.values(ctx, d.Messages.Mapped())
		if err != nil && !errors.Is(err, extract.ErrTooSlow) {
			return nil, err
		}
		d.Messages.SetValues(values)
	}
	asker.values(&d.Messages)
	return d, nil
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

func (n *newJobFlags) nameOr(found string) string {
	if n.name != "" {
		return n.name
	}
	if n.out != "" {
		found = strings.TrimSuffix(filepath.Base(n.out), filepath.Ext(n.out))
	}
	name := strings.Trim(notInName.ReplaceAllString(found, "-"), "-.")
	if name == "" {
		return "chats"
	}
	return name
}

// write writes the job file, and never over one that is there unless told to.
func (a *app) write(n *newJobFlags, name, text string) error {
	if n.out == "" {
		n.out = name + ".yaml"
	}
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if n.force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(n.out, how, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usageError(fmt.Errorf("write %s: it exists already", n.out), "another name, or --force to write over it")
	}
	if err != nil {
		return usageError(err, "a path that this user can write")
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// proposed tells what was found and what is left to do.
func (a *app) proposed(n *newJobFlags, d *jobs.Draft) {
	p := checkPrinter{app: a, width: a.width(), colorful: a.colorful(a.out)}
	for _, f := range d.Messages.Values {
		field := d.Messages.Proposal.Field(f.Field)
		if field == nil {
			continue
		}
		column := field.Field.Column
		if column == "" {
			column = field.Field.Expr
		}
		fmt.Fprintf(a.out, "%s, from %s\n", f.Field, harmless(column))
		finding := jobs.CheckFinding{Values: f.Values}
		for i := range finding.Values {
			v := &finding.Values[i]
			if meaning := field.Field.Values[v.Value]; meaning != "" {
				v.Means, v.Rejected = meaning, 0
			}
		}
		p.indent = 6
		p.values(&finding)
		fmt.Fprintln(a.out)
	}
	a.say(fmt.Sprintf("wrote %s", n.out))
	for _, what := range d.Undecided() {
		a.say("to decide: " + what)
	}
	a.next(n, d.Postgres)
}

// say prints a line, or as many as it takes.
func (a *app) say(s string) {
	for i, line := range wrap(harmless(s), a.width()-2) {
		if i > 0 {
			line = "  " + line
		}
		fmt.Fprintln(a.out, line)
	}
}

func (a *app) next(n *newJobFlags, postgres bool) {
	if _, set := a.env("CHAT_DATABASE_URL"); postgres && !set {
		a.say("next: set CHAT_DATABASE_URL to the connection string, then chatbackfill check " + n.out)
		return
	}
	a.say("next: chatbackfill check " + n.out)
}
