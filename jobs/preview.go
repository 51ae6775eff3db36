package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// PreviewedConversation is a conversation with what a run would make of it.
type PreviewedConversation struct {
	ID         string            `json:"conversation_id"`
	Start      *time.Time        `json:"start"` // null: no customer wrote
	Lines      []PreviewedLine   `json:"lines"`
	Events     int               `json:"events"`
	Aside      map[string]int    `json:"not_looked_at"` // rows, by why
	Rejects    []PreviewedReject `json:"rejects"`
	Rejected   string            `json:"rejected,omitempty"` // why nothing of it is sent
	Suppressed bool              `json:"suppressed,omitempty"`
	Due        *time.Time        `json:"due,omitempty"` // when it is looked at again
}

// PreviewedLine is a row of a conversation.
type PreviewedLine struct {
	At        time.Time        `json:"at"`
	Elapsed   *int64           `json:"elapsed_seconds"` // since the start; null before it
	Role      string           `json:"role"`
	Kind      string           `json:"kind"`
	Name      string           `json:"name,omitempty"` // of its author
	Agent     string           `json:"agent,omitempty"`
	MessageID string           `json:"message_id"`
	Text      string           `json:"text,omitempty"` // as it would be sent
	Deleted   bool             `json:"deleted,omitempty"`
	Outcome   string           `json:"outcome"`
	Events    []PreviewedEvent `json:"events"`
}

// PreviewedEvent is an event that a row causes.
type PreviewedEvent struct {
	Name      string          `json:"name"`
	At        time.Time       `json:"at"`
	Duration  int64           `json:"conversation_duration"`
	Agent     string          `json:"agent,omitempty"`
	Delivered bool            `json:"delivered"` // by an earlier run
	Event     json.RawMessage `json:"event"`
}

// PreviewedReject is a row or an event that cannot be delivered.
type PreviewedReject struct {
	Reason  string `json:"reason"`
	Locator string `json:"locator"`
	Detail  string `json:"detail"`
}

// ExecutePreview returns what a run would make of some conversations: those with
// the given ids or, if there are none, so many that the source comes by. It
// sends nothing, and needs no state store.
func ExecutePreview(ctx context.Context, e Execution, ids []string, conversations int) ([]PreviewedConversation, error) {
	source, err := e.openSource(ctx)
	if err != nil {
		return nil, classify(err)
	}
	defer source.Close()
	all, err := e.preview(ctx, source, ids, conversations)
	return all, classify(err)
}

func (e *Execution) preview(ctx context.Context, source Source, ids []string, conversations int) ([]PreviewedConversation, error) {
	upper, err := source.Bound(ctx)
	if err != nil {
		return nil, err
	}
	transcripts, err := choose(ctx, source, upper, ids, conversations)
	if err != nil {
		return nil, err
	}
	options, err := e.statelessOptions(ctx, source)
	if err != nil {
		return nil, err
	}
	builder, err := transform.NewBuilder(options)
	if err != nil {
		return nil, &Error{Exit: ExitUsage, Err: err}
	}
	delivered := e.delivered(ctx, transcripts)
	all := []PreviewedConversation{}
	for i := range transcripts {
		t := &transcripts[i]
		p := previewer{delivered: delivered[t.ConversationID], directory: options.Directory}
		built, lines, tally := builder.Timeline(t, transform.Known{Start: p.delivered.Start, Horizon: upper})
		all = append(all, p.conversation(&built, lines, &tally))
	}
	return all, nil
}

// choose reads the conversations to look at.
func choose(ctx context.Context, source Source, upper extract.Time, ids []string, conversations int) (chosen []extract.Transcript, err error) {
	from, ok := source.(sampler)
	if !ok {
		return nil, errors.New("choose conversations: the source has no way to")
	}
	if len(ids) == 0 {
		chosen, err = sampleOf(ctx, from, upper, 100*conversations, func(sample []extract.Transcript) bool {
			return len(readable(sample)) >= conversations
		})
		return readable(chosen), err
	}
	pages, err := from.Only(ctx, upper, ids)
	if err != nil {
		return nil, err
	}
	chosen, err = collect(ctx, pages, func([]extract.Transcript) bool { return false })
	if err == nil && len(chosen) == 0 {
		err = errNoConversation(ids)
	}
	return chosen, err
}

// readable are the transcripts of which there is something to read.
func readable(all []extract.Transcript) (some []extract.Transcript) {
	for _, t := range all {
		if t.ConversationID != "" && len(t.Messages)+len(t.Rejects) > 0 {
			some = append(some, t)
		}
	}
	return some
}

// delivered returns what the ledger has of conversations. That it cannot be
// read is logged: a preview needs no state.
func (e *Execution) delivered(ctx context.Context, transcripts []extract.Transcript) (known map[string]Delivered) {
	ids := make([]string, len(transcripts))
	for i := range transcripts {
		ids[i] = transcripts[i].ConversationID
	}
	spec := *e.Spec
	spec.State.NoMigrate = true
	err := WithState(ctx, &spec, func(j *JobState) (err error) {
		known, err = j.Delivered(ctx, ids)
		return err
	})
	if err != nil {
		e.Log.Warn("cannot tell what was delivered before", "error", err)
	}
	return known
}

// previewer makes the preview of a conversation.
type previewer struct {
	delivered Delivered
	directory map[string]extract.DirectoryAgent
}

func (p *previewer) conversation(c *transform.Conversation, lines []transform.Line, tally *transform.Tally) PreviewedConversation {
	out := PreviewedConversation{
		ID: c.ID, Lines: []PreviewedLine{}, Events: len(c.Events), Aside: aside(tally), Rejects: []PreviewedReject{},
		Rejected: string(c.Rejected), Suppressed: c.Suppressed, Start: timeOrNull(c.Start), Due: timeOrNull(c.Due),
	}
	for i := range lines {
		out.Lines = append(out.Lines, p.line(&lines[i], c.Start))
	}
	for _, r := range c.Rejects {
		out.Rejects = append(out.Rejects, PreviewedReject{string(r.Reason), r.Locator, r.Detail})
	}
	return out
}

func timeOrNull(t extract.Time) *time.Time {
	if t == 0 {
		return nil
	}
	at := t.Time()
	return &at
}

// aside counts the rows that are in no line.
func aside(tally *transform.Tally) map[string]int {
	counts := make(map[string]int)
	for outcome, n := range tally.Rows {
		switch reason, ignored := strings.CutPrefix(string(outcome), string(transform.Ignored)); {
		case ignored && reason != "outbound" && reason != "bot":
			counts[reason] += n
		case outcome == transform.Duplicate || outcome == transform.Filtered:
			counts[string(outcome)] += n
		}
	}
	return counts
}

func (p *previewer) line(l *transform.Line, start extract.Time) PreviewedLine {
	out := PreviewedLine{
		At: l.SentAt.Time(), Role: l.Role.String(), Kind: l.Kind.String(), Name: p.name(l.Author, l.Role), MessageID: l.MessageID,
		Text: l.Text, Deleted: l.Deleted, Outcome: string(l.Outcome), Events: []PreviewedEvent{},
	}
	if l.Agent.Known() {
		out.Agent = p.name(l.Agent, extract.Agent)
	}
	if start != 0 && l.SentAt >= start {
		elapsed := int64(l.SentAt.Sub(start) / time.Second)
		out.Elapsed = &elapsed
	}
	for _, e := range l.Events {
		_, known := p.delivered.Events[e.Key]
		out.Events = append(out.Events, PreviewedEvent{
			Name: e.Name.String(), At: e.Timestamp.Time(), Duration: e.Duration, Agent: personName(e.Agent),
			Delivered: known, Event: json.RawMessage(e.JSON),
		})
	}
	return out
}

// name is what to call a person: the directory completes those of agents.
func (p *previewer) name(who extract.Person, role extract.Role) string {
	if known, ok := p.directory[who.ID]; ok && role == extract.Agent && who.Name == "" {
		who.Name = known.Name
	}
	return personName(who)
}

func personName(who extract.Person) string {
	for _, name := range []string{who.Name, who.Username, who.ID} {
		if name != "" {
			return name
		}
	}
	return ""
}
