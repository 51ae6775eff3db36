package main

import (
	"bufio"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/jobs"
)

// asker asks a person at a terminal. Without one, or if nobody wants to be
// asked, every question has its proposed answer.
type asker struct {
	*app
	lines *bufio.Reader // nil: nobody is asked
}

func (a *app) newAsker(silent bool) *asker {
	if silent || !isTerminal(a.in) || !isTerminal(a.out) {
		return &asker{app: a}
	}
	return &asker{a, bufio.NewReader(a.in)}
}

// ask asks for one of the answers, until it is one of them or empty, which
// stands for the proposed one.
func (q *asker) ask(question string, answers []string, proposed string) string {
	if q.lines == nil {
		return proposed
	}
	for {
		q.say(question)
		if proposed != "" {
			fmt.Fprintf(q.out, "  [%s] ", harmless(proposed))
		} else {
			fmt.Fprint(q.out, "  (Enter: decide later) ")
		}
		answer, err := q.lines.ReadString('\n')
		switch answer = strings.TrimSpace(answer); {
		case answer == "" || err != nil:
			return proposed
		case slices.Contains(answers, answer):
			return answer
		}
		q.say(fmt.Sprintf("  %q is none of them", answer))
	}
}

// listed shows the first of many answers.
func listed(answers []string) string {
	const most = 30
	text := strings.Join(answers[:min(len(answers), most)], ", ")
	if len(answers) > most {
		text += fmt.Sprintf(" and %d more", len(answers)-most)
	}
	return text
}

func (q *asker) table(names []string, likeliest string) string {
	return q.ask("Which table holds the messages? There are "+listed(names)+".", names, likeliest)
}

// columns asks for the columns of required fields that were not found.
func (q *asker) columns(s *jobs.DraftSet, columns []string) {
	meanings := map[string]string{
		"conversation_id": "which conversation a row belongs to", "sent_at": "when it was written", "role": "who wrote it: customer or agent",
	}
	for _, field := range slices.Clone(s.Proposal.Missing) {
		column := q.ask(fmt.Sprintf("Which column says %s (%s)? There are %s.", meanings[field], field, listed(columns)), columns, "")
		if column != "" {
			s.Proposal.Add(field, column, "as you said")
		}
	}
}

// mostAsked is how many values of a field somebody is asked for. Whoever has
// more edits the file.
const mostAsked = 15

// values asks what those values mean of which nobody could guess it.
func (q *asker) values(s *jobs.DraftSet) {
	rows := make(map[string]int64)
	for _, f := range s.Values {
		for _, v := range f.Values {
			rows[f.Field+v.Value] = v.Rows
		}
	}
	for i := range s.Proposal.Fields {
		f := &s.Proposal.Fields[i]
		words := extract.KindNames()
		if f.Name == "role" {
			words = extract.RoleNames()
		}
		unknown := slices.Clone(f.Unknown)
		for _, value := range unknown[:min(len(unknown), mostAsked)] {
			how := ""
			if n := rows[f.Name+value]; n > 0 {
				how = " (" + humanize.Comma(n) + " rows)"
			}
			if answer := q.ask(fmt.Sprintf("What does %s %q%s mean: %s?", f.Name, value, how, strings.Join(words, ", ")), words, ""); answer != "" {
				f.Decide(value, answer)
			}
		}
	}
}
