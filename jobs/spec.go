package jobs

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// Spec is a job file: what is read, what events it becomes, where they go.
// [LoadSpec] returns only specs that are complete and free of contradictions.
// The keys of the file are the yaml tags; the allowed words are the enums of
// the jsonschema tags.
type Spec struct {
	File string `yaml:"-"` // as given
	Dir  string `yaml:"-"` // absolute: the folder that paths in the file are relative to

	Name         string           `yaml:"name" jsonschema:"required" jsonschema_description:"Letters, digits, -, _ and dots. With the destination's label the key of everything that is remembered"`
	Namespace    string           `yaml:"namespace" jsonschema_description:"Root of the events' ids. Default: the name"`
	Schedule     string           `yaml:"schedule" jsonschema_description:"When chatbackfill schedule runs the job: a cron expression of five fields"`
	Timezone     string           `yaml:"timezone" jsonschema_description:"IANA time zone of the schedule"`
	CatchUp      bool             `yaml:"catch_up" jsonschema_description:"One run makes up for slots that were missed"`
	Source       SourceSpec       `yaml:"source" jsonschema:"required"`
	Conversation ConversationSpec `yaml:"conversation"`
	Destination  DestinationSpec  `yaml:"destination" jsonschema:"required"`
	State        StateRef         `yaml:"state" jsonschema_description:"Where it is remembered what was delivered: sqlite:PATH or postgres://…. Default: sqlite:NAME.state.db beside the job file; in Kubernetes it has to be spelled out"`
	Ledger       bool             `yaml:"ledger" jsonschema_description:"Remember every delivered event. off: only the position; the job has one pass, resumed until it is done, and nothing waits"`
	Rejects      RejectsSpec      `yaml:"rejects"`
	Drain        time.Duration    `yaml:"drain" jsonschema_description:"How long what is under way may take when a run is told to stop"`
	Alerts       AlertsSpec       `yaml:"alerts"`
}

// SourceSpec is where transcripts come from: one of the two.
type SourceSpec struct {
	Postgres *PostgresSpec `yaml:"postgres"`
	Parquet  *ParquetSpec  `yaml:"parquet"`
}

// SetsSpec are the sets of a source.
type SetsSpec struct {
	Preset        string                `yaml:"preset" jsonschema_description:"A mapping of a known system, NAME@VERSION, or the path of one: see presets.md. The sets of the job file lie over it"`
	Messages      []extract.Set         `yaml:"messages" jsonschema_description:"A set of message rows, or a list of sets"`
	Conversations *extract.Set          `yaml:"conversations" jsonschema_description:"A set with a row for each conversation"`
	Agents        *extract.Set          `yaml:"agents" jsonschema_description:"A set with a row for each agent; completes names"`
	Lookups       map[string]LookupSpec `yaml:"lookups" jsonschema_description:"Small sets kept in memory, in which lookup(NAME, key) finds rows"`
}

// LookupSpec is a set that expressions look rows up in by their key.
type LookupSpec struct {
	extract.Set `yaml:",inline"`
	Key         string `yaml:"key" jsonschema_description:"Column that rows are looked up by"`
}

// PostgresSpec is a Postgres database as the source.
type PostgresSpec struct {
	DSN      Secret `yaml:"dsn" jsonschema:"required" jsonschema_description:"Connection string; best ${NAME} or file:/path. Off the loopback sslmode=verify-full unless it names another"`
	SetsSpec `yaml:",inline"`
	Settle   time.Duration `yaml:"settle" jsonschema_description:"How old a row has to be to be read"`
	Overlap  time.Duration `yaml:"overlap" jsonschema_description:"How far a pass looks back behind the end of the one before"`
	Page     int           `yaml:"page" jsonschema_description:"Conversations read at a time"`
	Memory   Size          `yaml:"memory" jsonschema_description:"Of which a conversation may take an eighth; a larger one is rejected"`
}

// ParquetSpec are Parquet files as the source.
type ParquetSpec struct {
	SetsSpec `yaml:",inline"`
	Lookback time.Duration `yaml:"lookback" zero:"all" jsonschema_description:"Your promise that no conversation lasts longer; older files are not read to complete one"` // 0: all
	Memory   Size          `yaml:"memory" jsonschema_description:"Memory for putting rows together; beyond it temporary files are used. A conversation may take an eighth of it; a larger one is rejected"`
	Tmp      string        `yaml:"tmp" jsonschema_description:"Folder of temporary files, which are private and gone after the run. Default: the system's"` // empty: the system's
}

// ConversationSpec says what events conversations become.
type ConversationSpec struct {
	Agent        transform.Attribution    `yaml:"agent" jsonschema:"enum=handling,enum=first_responder,enum=last_responder,enum=assignee,enum=none" jsonschema_description:"Whom events are attributed to"`
	WaitForAgent time.Duration            `yaml:"wait_for_agent" jsonschema_description:"How long an event waits for its agent. 0s: not at all"`
	Bots         transform.Inclusion      `yaml:"bots" jsonschema:"enum=include,enum=exclude" jsonschema_description:"With exclude no events of bots"`
	Outbound     transform.Inclusion      `yaml:"outbound" jsonschema:"enum=include,enum=exclude" jsonschema_description:"With exclude no events of conversations in which no customer wrote"`
	Identity     transform.IdentityPolicy `yaml:"identity" jsonschema:"enum=reject,enum=anonymous" jsonschema_description:"With anonymous a conversation whose customer is unknown gets an anonymous id of its own"`
	MessageBody  transform.BodyPolicy     `yaml:"message_body" jsonschema:"enum=include,enum=redact,enum=omit" jsonschema_description:"With redact personal data is replaced, with omit no texts are sent"`
	BodyFormat   transform.BodyFormat     `yaml:"body_format" jsonschema:"enum=text,enum=html" jsonschema_description:"With html texts are HTML and become plain text first"`
	Redact       map[string]string        `yaml:"redact" jsonschema_description:"Further patterns to redact: a name and a regular expression"`
	Derived      []string                 `yaml:"derived" jsonschema:"enum=first_response_seconds,enum=response_seconds,enum=message_count,enum=customer_message_count,enum=agent_message_count,enum=agent_count,enum=message_index" jsonschema_description:"Further properties"`
	Extra        map[string]extract.Field `yaml:"extra" jsonschema_description:"Further columns of messages as properties: a property and its column"`
	Properties   map[string]any           `yaml:"properties" jsonschema_description:"Constant properties of every event"`
	EndAfterIdle time.Duration            `yaml:"end_after_idle" jsonschema_description:"Infers an end when nobody writes for so long. Default: never"` // 0: does not
	Suppress     string                   `yaml:"suppress" jsonschema_description:"File of customers of whom nothing is sent: an id a line, or sha256: and its hash"`
}

// DestinationSpec is where events go: one of the two.
type DestinationSpec struct {
	Segment *SegmentSpec `yaml:"segment"`
	File    *FileSpec    `yaml:"file"`
}

// SegmentSpec is a Segment source as the destination.
type SegmentSpec struct {
	Source       string         `yaml:"source" jsonschema:"required" jsonschema_description:"A name of yours for the Segment source; part of every event's id"`
	WriteKey     Secret         `yaml:"write_key" jsonschema:"required" jsonschema_description:"Best ${NAME} or file:/path"`
	Region       string         `yaml:"region" jsonschema:"enum=us,enum=eu" jsonschema_description:"Where the Segment workspace is"`
	Endpoint     string         `yaml:"endpoint" jsonschema_description:"An https:// URL instead of the region's"`                                                                                                                                // empty: the region's
	Rate         float64        `yaml:"rate" zero:"unlimited" jsonschema_description:"Events a second, or unlimited. A request carries at most those of a second. Segment recommends at most 1,000 for a whole workspace, live traffic included"` // 0: unlimited
	RetryFor     time.Duration  `yaml:"retry_for" jsonschema_description:"How long to go on trying while nothing is accepted"`
	Integrations map[string]any `yaml:"integrations" jsonschema_description:"Sent as given with every event"`
	Context      map[string]any `yaml:"context" jsonschema_description:"Sent as given with every event"`
}

// FileSpec is a file, or a folder of Parquet files, as the destination.
type FileSpec struct {
	Path   string `yaml:"path" jsonschema:"required" jsonschema_description:".ndjson, .ndjson.gz or .ndjson.zst: a file, one event a line. .parquet: a folder of Parquet files. {shard} in it becomes 2-of-8 for the third of eight shards, 0-of-1 without"`
	Source string `yaml:"source" jsonschema_description:"Stands for the Segment source in every event's id"`
}

// RejectsSpec says what rejects do to a conversation and to a run.
type RejectsSpec struct {
	Scope       string     `yaml:"scope" jsonschema:"enum=conversation,enum=row" jsonschema_description:"With row a row that cannot be read does not hold back its conversation"`
	Max         RejectsMax `yaml:"max"`
	KeepPayload bool       `yaml:"keep_payload" jsonschema_description:"Keep the content of what is rejected"`
}

// RejectsMax is the share of a pass above which a run halts.
type RejectsMax struct {
	Rows          Percent `yaml:"rows" jsonschema_description:"A run halts when more of a pass's rows are rejected, but not for 20 or fewer"`
	Conversations Percent `yaml:"conversations" jsonschema_description:"The same for its conversations"`
}

// AlertsSpec are URLs to call. They are secrets: whoever knows one can post.
type AlertsSpec struct {
	OnFailure  Secret        `yaml:"on_failure" jsonschema_description:"URL that is called when a job begins to fail"`
	OnRecovery Secret        `yaml:"on_recovery" jsonschema_description:"URL that is called when it works again"`
	OnRejects  Secret        `yaml:"on_rejects" jsonschema_description:"URL that is called when a run leaves rejects"`
	NoRowsFor  time.Duration `yaml:"no_rows_for" jsonschema_description:"on_failure is called when the source has had no new rows for so long"` // 0: no such alert
}

// Size is a number of bytes.
type Size int64

// Percent is a share: 0.01 is 1%.
type Percent float64

// setDefaults sets every default of the file; what the file says goes over it.
func (s *Spec) setDefaults() {
	s.Timezone = "Etc/UTC"
	s.CatchUp = true
	s.Ledger = true
	s.Drain = 20 * time.Second
	s.Rejects = RejectsSpec{Scope: "conversation", Max: RejectsMax{Rows: 0.01, Conversations: 0.10}}
	s.Conversation = ConversationSpec{
		Agent:        transform.Handling,
		WaitForAgent: time.Hour,
		Bots:         transform.Include,
		Outbound:     transform.Include,
		Identity:     transform.RejectUnknown,
		MessageBody:  transform.IncludeBody,
		BodyFormat:   transform.Text,
	}
}

func (p *PostgresSpec) setDefaults() {
	p.Settle, p.Overlap, p.Page, p.Memory = 5*time.Minute, time.Hour, 2000, 256_000_000
}

func (p *ParquetSpec) setDefaults() { p.Memory = 256_000_000 }

func (s *SegmentSpec) setDefaults() {
	s.Region, s.Rate, s.RetryFor = "us", 500, 30*time.Minute
}

func (f *FileSpec) setDefaults() { f.Source = "file" }

// LoadSpec reads the job file at path. lookupEnv resolves the variables in it,
// as os.LookupEnv does. The error has exit code 2; if it is about what the file
// says it holds [SpecErrors], all mistakes at once.
func LoadSpec(path string, lookupEnv func(string) (string, bool)) (*Spec, error) {
	data, err := readSpecFile(path)
	if err != nil {
		return nil, &Error{Exit: ExitUsage, Err: fmt.Errorf("read job file %s: %w", path, reasonOf(err)),
			Try: "the path of a job file; chatbackfill init writes one"}
	}
	return ParseSpec(path, data, lookupEnv)
}

func readSpecFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSpecSize+1))
	return data, errors.Join(err, file.Close())
}

// ParseSpec is [LoadSpec] for a job file that has been read already. Paths in
// it are relative to the folder of name.
func ParseSpec(name string, data []byte, lookupEnv func(string) (string, bool)) (*Spec, error) {
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, &Error{Exit: ExitUsage, Err: fmt.Errorf("find the folder of %s: %w", name, err)}
	}
	spec := &Spec{File: name, Dir: dir}
	spec.setDefaults()
	if err := decodeSpec(spec, data, lookupEnv); err != nil {
		return nil, &Error{Exit: ExitUsage, Err: err}
	}
	return spec, nil
}

// Path returns a path of the job file as one that does not depend on the
// working directory. URLs are returned as they are.
func (s *Spec) Path(path string) string {
	if strings.Contains(path, "://") || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.Dir, path)
}

// Label is the name of the Segment source. With the job's name it is the key
// of all state, and it is part of every event's id.
func (s *Spec) Label() string {
	if s.Destination.Segment != nil {
		return s.Destination.Segment.Source
	}
	return s.Destination.File.Source
}

// Sets are the sets of the source, whichever it is.
func (s *Spec) Sets() *SetsSpec {
	if s.Source.Postgres != nil {
		return &s.Source.Postgres.SetsSpec
	}
	return &s.Source.Parquet.SetsSpec
}

// ExtraFields are the extra columns of messages, sorted by property.
func (s *Spec) ExtraFields() []extract.ExtraField {
	var extra []extract.ExtraField
	for _, name := range slices.Sorted(maps.Keys(s.Conversation.Extra)) {
		extra = append(extra, extract.ExtraField{Name: name, Field: s.Conversation.Extra[name]})
	}
	return extra
}

// Options are the job's options for rebuilding conversations. The directory of
// agents, the suppressed customers and Final are the run's to add.
func (s *Spec) Options() transform.Options {
	c := &s.Conversation
	opts := transform.Options{
		Namespace: s.Namespace, Label: s.Label(),
		Agent: c.Agent, WaitForAgent: c.WaitForAgent, Bots: c.Bots, Outbound: c.Outbound,
		EndAfterIdle: c.EndAfterIdle, Identity: c.Identity,
		MessageBody: c.MessageBody, BodyFormat: c.BodyFormat, Redact: c.Redact,
		Derived: c.Derived, Properties: c.Properties,
		Extra:        slices.Sorted(maps.Keys(c.Extra)),
		HoldRejected: s.Rejects.Scope == "conversation",
	}
	if segment := s.Destination.Segment; segment != nil {
		opts.Settings = transform.Settings{Context: segment.Context, Integrations: segment.Integrations}
	}
	return opts
}
