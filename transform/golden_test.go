package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract"
)

var update = flag.Bool("update", false, "write what comes out as the expected events of testdata/golden")

// TestGolden builds the transcript of every folder of testdata/golden, whose
// README.md states a rule, and compares events and outcomes with what the folder
// expects. The naive implementation is held to the same.
func TestGolden(t *testing.T) {
	folders, err := filepath.Glob("testdata/golden/*/options.json")
	if err != nil || len(folders) < 40 {
		t.Fatalf("%d folders, %v", len(folders), err)
	}
	for _, options := range folders {
		dir := filepath.Dir(options)
		t.Run(filepath.Base(dir), func(t *testing.T) { testGolden(t, dir) })
	}
}

func testGolden(t *testing.T, dir string) {
	if text, err := os.ReadFile(filepath.Join(dir, "README.md")); err != nil || len(bytes.TrimSpace(text)) == 0 {
		t.Errorf("README.md does not state the rule: %v", err)
	}
	g := readGolden(t, dir)
	got, naive := observe(t, g.options, &g.transcript, g.known), naiveBuild(g.options, &g.transcript, g.known)
	if diff := cmp.Diff(naive, got); diff != "" {
		t.Errorf("the naive implementation differs (-naive +Build):\n%s", diff)
	}
	var events bytes.Buffer
	for _, e := range got.JSON {
		fmt.Fprintln(&events, e)
	}
	compareFile(t, dir, "events.ndjson", events.Bytes())
	compareFile(t, dir, "outcomes.json", goldenOutcomes(t, got))
}

// compareFile compares with an expected file and leaves what differs beside it.
func compareFile(t *testing.T, dir, name string, got []byte) {
	path := filepath.Join(dir, name)
	beside := filepath.Join(dir, name[:len(name)-len(filepath.Ext(name))]+".got"+filepath.Ext(name))
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	diff := cmp.Diff(lines(want), lines(got))
	if diff == "" {
		if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		return
	}
	if err := os.WriteFile(beside, got, 0o644); err != nil {
		t.Error(err)
	}
	t.Errorf("%s differs (-want +got; see %s, or run with -update):\n%s", path, beside, diff)
}

func lines(text []byte) []string {
	var all []string
	for line := range bytes.Lines(text) {
		all = append(all, string(line))
	}
	return all
}

type golden struct {
	options    Options
	known      Known
	transcript extract.Transcript
}

// goldenOptions are named as in job files; what no job file says is below.
type goldenOptions struct {
	Namespace    string            `json:"namespace"`
	Label        string            `json:"label"`
	Agent        Attribution       `json:"agent"`
	WaitForAgent string            `json:"wait_for_agent"`
	Bots         Inclusion         `json:"bots"`
	Outbound     Inclusion         `json:"outbound"`
	Identity     IdentityPolicy    `json:"identity"`
	MessageBody  BodyPolicy        `json:"message_body"`
	BodyFormat   BodyFormat        `json:"body_format"`
	Redact       map[string]string `json:"redact"`
	Derived      []string          `json:"derived"`
	Extra        []string          `json:"extra"`
	Properties   map[string]any    `json:"properties"`
	EndAfterIdle string            `json:"end_after_idle"`
	Suppress     []string          `json:"suppress"`
	Context      map[string]any    `json:"context"`
	Integrations map[string]any    `json:"integrations"`

	Final          bool   `json:"final"`           // run --final
	HoldRejected   bool   `json:"hold_rejected"`   // rejects.scope: conversation
	Horizon        string `json:"horizon"`         // up to when the source shows rows
	DeliveredStart string `json:"delivered_start"` // what the ledger has
	Unreadable     int    `json:"unreadable"`      // message rows that could not be read
}

// goldenRow is a row with the names of the mapping's fields, and of all sets.
type goldenRow struct {
	ConversationID   string    `json:"conversation_id"`
	MessageID        string    `json:"message_id"`
	SentAt           time.Time `json:"sent_at"`
	ChangedAt        time.Time `json:"changed_at"`
	Role             string    `json:"role"`
	Kind             string    `json:"kind"`
	AuthorID         string    `json:"author_id"`
	AuthorName       string    `json:"author_name"`
	AuthorUsername   string    `json:"author_username"`
	AgentID          string    `json:"agent_id"`
	AgentName        string    `json:"agent_name"`
	AgentUsername    string    `json:"agent_username"`
	Body             string    `json:"body"`
	UserID           string    `json:"user_id"`
	AnonymousID      string    `json:"anonymous_id"`
	Sequence         int64     `json:"sequence"`
	Deleted          bool      `json:"deleted"`
	AssigneeID       string    `json:"assignee_id"`
	AssigneeName     string    `json:"assignee_name"`
	AssigneeUsername string    `json:"assignee_username"`
	EndedAt          time.Time `json:"ended_at"`
	EndedBy          string    `json:"ended_by"`
	ID               string    `json:"id"`
	Name             string    `json:"name"`
	Username         string    `json:"username"`
	File             uint32    `json:"file"` // the row's origin
	extra            map[string]json.RawMessage
}

func readGolden(t *testing.T, dir string) golden {
	o := goldenOptions{Namespace: "support-chat", Label: "prod"}
	text, err := os.ReadFile(filepath.Join(dir, "options.json"))
	if err != nil {
		t.Fatal(err)
	}
	decodeStrictly(t, text, &o)
	g := golden{options: o.options(t), known: Known{Start: parseTime(t, o.DeliveredStart), Horizon: parseTime(t, o.Horizon)}}
	for _, r := range readRows(t, dir, "rows.ndjson", o.Extra) {
		g.transcript.ConversationID = r.ConversationID
		g.transcript.Messages = append(g.transcript.Messages, r.message(t, o.Extra))
	}
	for range o.Unreadable {
		g.transcript.Rejects = append(g.transcript.Rejects, extract.Reject{Set: extract.SetMessages, Reason: extract.BadTimestamp})
	}
	for _, r := range readRows(t, dir, "conversation.ndjson", nil) {
		g.transcript.Conversations = append(g.transcript.Conversations, r.conversation())
	}
	g.options.Directory = map[string]extract.DirectoryAgent{}
	for _, r := range readRows(t, dir, "agents.ndjson", nil) {
		g.options.Directory[r.ID] = extract.DirectoryAgent{Person: extract.Person{ID: r.ID, Name: r.Name, Username: r.Username}}
	}
	return g
}

func (o *goldenOptions) options(t *testing.T) Options {
	opts := Options{
		Namespace: o.Namespace, Label: o.Label, Agent: o.Agent, WaitForAgent: parseDuration(t, o.WaitForAgent), Final: o.Final,
		Bots: o.Bots, Outbound: o.Outbound, EndAfterIdle: parseDuration(t, o.EndAfterIdle), Identity: o.Identity,
		MessageBody: o.MessageBody, BodyFormat: o.BodyFormat, Redact: o.Redact, Derived: o.Derived, Extra: o.Extra,
		Properties: o.Properties, Settings: Settings{Context: o.Context, Integrations: o.Integrations}, HoldRejected: o.HoldRejected,
	}
	if o.Suppress != nil {
		opts.Suppressed = func(id string) bool { return slices.Contains(o.Suppress, id) }
	}
	return opts
}

// readRows reads a file of rows, none if there is no such file. Fields that are
// no field of a row are those of extra.
func readRows(t *testing.T, dir, name string, extra []string) (rows []goldenRow) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) && name != "rows.ndjson" {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var fields map[string]json.RawMessage
		decodeStrictly(t, line, &fields)
		r := goldenRow{extra: map[string]json.RawMessage{}}
		for _, key := range extra {
			if value, ok := fields[key]; ok {
				r.extra[key] = value
				delete(fields, key)
			}
		}
		rest, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		decodeStrictly(t, rest, &r)
		rows = append(rows, r)
	}
	return rows
}

func (r *goldenRow) message(t *testing.T, extra []string) extract.Message {
	role, ok := extract.ParseRole(r.Role)
	if !ok {
		t.Fatalf("role %q", r.Role)
	}
	kind, ok := extract.ParseKind(r.Kind)
	if !ok && r.Kind != "" {
		t.Fatalf("kind %q", r.Kind)
	}
	m := extract.Message{
		ConversationID: r.ConversationID, MessageID: r.MessageID, SentAt: timeOf(r.SentAt), ChangedAt: timeOf(r.ChangedAt),
		Role: role, Kind: kind, Author: extract.Person{ID: r.AuthorID, Name: r.AuthorName, Username: r.AuthorUsername},
		Agent: extract.Person{ID: r.AgentID, Name: r.AgentName, Username: r.AgentUsername},
		Body:  r.Body, UserID: r.UserID, AnonymousID: r.AnonymousID, Sequence: extract.Sequence{Int: r.Sequence},
		Deleted: r.Deleted, Origin: r.File,
	}
	for _, key := range extra {
		m.Extra = append(m.Extra, string(r.extra[key]))
	}
	return m
}

func (r *goldenRow) conversation() extract.Conversation {
	return extract.Conversation{
		ConversationID: r.ConversationID, ChangedAt: timeOf(r.ChangedAt), UserID: r.UserID, AnonymousID: r.AnonymousID,
		Assignee: extract.Person{ID: r.AssigneeID, Name: r.AssigneeName, Username: r.AssigneeUsername},
		EndedAt:  timeOf(r.EndedAt), EndedBy: r.EndedBy,
	}
}

func goldenOutcomes(t *testing.T, got naiveResult) []byte {
	type reject struct {
		Reason extract.Reason `json:"reason"`
		Where  string         `json:"where,omitempty"`
	}
	out := struct {
		Rows        map[Outcome]int `json:"rows"`
		Events      map[Outcome]int `json:"events,omitempty"` // beside those to be sent
		Start       string          `json:"start,omitempty"`
		Due         string          `json:"due,omitempty"`
		Rejected    extract.Reason  `json:"rejected,omitempty"`
		Rejects     []reject        `json:"rejects,omitempty"`
		StartedLate int             `json:"started_late,omitempty"`
	}{got.Tally.Rows, got.Tally.Events, got.Start.String(), got.Due.String(), got.Rejected, nil, got.Tally.StartedLate}
	for _, r := range got.Rejects {
		out.Rejects = append(out.Rejects, reject{r.Reason, r.Locator})
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func decodeStrictly(t *testing.T, text []byte, v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("decode %s: %v", text, err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("more than one value in %s", text)
	}
}

func parseTime(t *testing.T, s string) extract.Time {
	if s == "" {
		return 0
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return timeOf(at)
}

func timeOf(t time.Time) extract.Time {
	if t.IsZero() {
		return 0
	}
	return extract.TimeOf(t)
}

func parseDuration(t *testing.T, s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
