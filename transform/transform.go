// Package transform rebuilds conversations from transcripts and turns them into
// the four events of Segment's Live Chat spec.
//
// It is pure: no I/O, no clock, no logger. The same transcript and options give
// the same events, byte for byte, in whatever order the transcript's rows come.
//
//	extract.Transcript
//	   │  arrange    rows in their order, each once          order.go
//	   │  findEnds   where the conversation ends             end.go
//	   │  agents     who handles it at each row              agent.go
//	   │  identities whose events these are                  identity.go
//	   ▼  events     named, timed, encoded                   draft.go, encode.go
//	Conversation
package transform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Inclusion says whether messages of a sort become events.
type Inclusion string

// The inclusions.
const (
	Include Inclusion = "include"
	Exclude Inclusion = "exclude"
)

// BodyPolicy says what becomes of message bodies.
type BodyPolicy string

// The body policies.
const (
	IncludeBody BodyPolicy = "include" // sent as they are
	RedactBody  BodyPolicy = "redact"  // sent without personal data
	OmitBody    BodyPolicy = "omit"    // not sent
)

// BodyFormat says what message bodies are in the source.
type BodyFormat string

// The body formats.
const (
	Text BodyFormat = "text"
	HTML BodyFormat = "html" // turned into text first
)

// IdentityPolicy says what becomes of a conversation whose customer is unknown.
type IdentityPolicy string

// The identity policies.
const (
	RejectUnknown IdentityPolicy = "reject"    // the conversation is rejected
	AnonymousID   IdentityPolicy = "anonymous" // it gets an anonymousId of its own
)

// Options say what events a job wants. Only Namespace and Label, which are part
// of every event's id, have no default.
type Options struct {
	Namespace string
	Label     string

	Agent        Attribution   // default Handling
	WaitForAgent time.Duration // how long an event waits for its agent; 0: not at all
	Final        bool          // no later row is expected: nothing waits
	Bots         Inclusion     // default Include: messages of bots
	Outbound     Inclusion     // default Include: conversations in which no customer wrote
	EndAfterIdle time.Duration // infers ends; 0: does not
	Identity     IdentityPolicy
	MessageBody  BodyPolicy
	BodyFormat   BodyFormat
	Redact       map[string]string // further patterns: name to regular expression
	Derived      []string          // of DerivedProperties
	Extra        []string          // names of extract.Message.Extra as properties
	Properties   map[string]any    // constants added to every event
	Settings     Settings

	// Directory completes the names of agents by their id.
	Directory map[string]extract.DirectoryAgent
	// Suppressed reports whether nothing may be sent of the conversations of a
	// customer with this id, or of a [ConversationSubject]. May be nil.
	Suppressed func(id string) bool
	// HoldRejected holds a conversation back as a whole as long as one of its
	// rows cannot be read.
	HoldRejected bool
}

func (o *Options) setDefaults() {
	setDefault(&o.Agent, Handling)
	setDefault(&o.Bots, Include)
	setDefault(&o.Outbound, Include)
	setDefault(&o.Identity, RejectUnknown)
	setDefault(&o.MessageBody, IncludeBody)
	setDefault(&o.BodyFormat, Text)
}

func setDefault[T ~string](field *T, value T) {
	if *field == "" {
		*field = value
	}
}

// SpecProperties are the properties of the spec, which no job can redefine.
var SpecProperties = []string{
	"agent_id", "agent_name", "agent_username",
	"conversation_id", "conversation_duration", "message_id", "message_body",
}

// Properties that events have beside the spec's when there is cause.
const (
	bodyTruncated = "message_body_truncated"
	endInferred   = "conversation_end_inferred"
)

// Reserved reports whether the program itself gives properties of that name.
func Reserved(property string) bool {
	return slices.Contains(SpecProperties, property) || slices.Contains(DerivedProperties, property) ||
		property == bodyTruncated || property == endInferred
}

// Builder rebuilds conversations, one after the other. It is not safe for
// concurrent use: each goroutine has its own.
type Builder struct {
	opts     Options
	ids      ids
	body     bodyText
	derived  derivedSet
	constant []Property // sorted by key

	rows     []row
	outcomes []Outcome  // per row
	seen     index[int] // by id of a row: its place
	ends     []end
	agents   agents
	people   identities
	counts   counter
	arena    *Arena
	writer   writer
}

// NewBuilder returns a Builder, or an error that names the option that cannot be.
func NewBuilder(opts Options) (*Builder, error) {
	opts.setDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	b := &Builder{opts: opts, ids: newIDs(opts.Namespace, opts.Label), arena: collectedArena()}
	if err := b.opts.Settings.encode(); err != nil {
		return nil, err
	}
	var err error
	if b.constant, err = constants(opts.Properties); err != nil {
		return nil, err
	}
	if b.derived, err = newDerivedSet(opts.Derived); err != nil {
		return nil, err
	}
	b.body, err = newBodyText(b.opts)
	return b, err
}

// Use makes the events of the conversations built from here on in an arena.
// Without one they are left to the garbage collector.
func (b *Builder) Use(a *Arena) { b.arena = a }

// check reports the first option that has a value which does not exist, and the
// first property that two want.
func (o *Options) check() error {
	for _, c := range []struct{ option, value, values string }{
		{"agent", string(o.Agent), "handling first_responder last_responder assignee none"},
		{"bots", string(o.Bots), "include exclude"},
		{"outbound", string(o.Outbound), "include exclude"},
		{"identity", string(o.Identity), "reject anonymous"},
		{"message_body", string(o.MessageBody), "include redact omit"},
		{"body_format", string(o.BodyFormat), "text html"},
	} {
		if values := strings.Fields(c.values); !slices.Contains(values, c.value) {
			return fmt.Errorf("%s %q: unknown; there are %s", c.option, c.value, strings.Join(values, ", "))
		}
	}
	names := append(slices.Clone(o.Extra), keys(o.Properties)...)
	slices.Sort(names)
	for i, name := range names {
		if Reserved(name) {
			return fmt.Errorf("property %q: the name belongs to the spec or to a derived property", name)
		}
		if i > 0 && name == names[i-1] {
			return fmt.Errorf("property %q: given twice, in extra or properties", name)
		}
	}
	return nil
}

// constants returns the properties of every event, sorted by key.
func constants(values map[string]any) ([]Property, error) {
	var all []Property
	for key, value := range values {
		encoded, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode property %q: %w", key, err)
		}
		if string(encoded) != "null" {
			all = append(all, Property{key, encoded})
		}
	}
	slices.SortFunc(all, compareProperties)
	return all, nil
}

func keys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	return names
}

func compareProperties(x, y Property) int { return strings.Compare(x.Key, y.Key) }
