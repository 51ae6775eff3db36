//go:build unix

package extract

import (
	"context"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"
)

// spoken are rows with a role and a kind that not all have a mapping.
const spoken = `[
	{"c": "a", "id": 1, "who": "User", "what": "say", "at": 1700000000, "inbox": 1},
	{"c": "a", "id": 2, "who": "Wizard", "what": "say", "at": 1700000001, "inbox": 1},
	{"c": "a", "id": 3, "who": "Ghost", "what": "say", "at": 1700000002, "inbox": 1},
	{"c": "b", "id": 4, "who": "Ghost", "what": "scribble", "at": 1700000003, "inbox": 1},
	{"c": "b", "id": 5, "who": "User", "what": "dance", "at": 1700000004, "inbox": 1},
	{"c": "b", "id": 6, "who": "User", "what": null, "at": 1700000005, "inbox": 1},
	{"c": "x", "id": 7, "who": "Stranger", "what": "say", "at": 1700000006, "inbox": 2}]`

var spokenSet = Set{
	Where: "inbox == 1",
	Fields: map[string]Field{
		"conversation_id": {Column: "c"}, "message_id": {Column: "id"}, "sent_at": {Column: "at", Unit: "s"},
		"role": {Column: "who", Values: map[string]string{"User": "customer", "Wizard": "agent"}},
		"kind": {Column: "what", Values: map[string]string{"say": "message", "scribble": "note"}},
	},
}

// spokenValues are those of spoken: a role that has no mapping matters only to
// rows that are looked at.
var spokenValues = []FieldValues{
	{Set: "messages", Field: "role", Values: []ValueCount{
		{Value: "User", Means: "customer", Rows: 3}, {Value: "Ghost", Rows: 2, Rejected: 1}, {Value: "Wizard", Means: "agent", Rows: 1}}},
	{Set: "messages", Field: "kind", Values: []ValueCount{
		{Value: "say", Means: "message", Rows: 3}, {Value: "dance", Rows: 1, Rejected: 1}, {Value: "null", Means: "message", Rows: 1}, {Value: "scribble", Means: "note", Rows: 1}}},
}

func writeSpoken(t *testing.T) ParquetConfig {
	dir := t.TempDir()
	writeParquet(t, dir+"/spoken.parquet", []arrow.Field{
		column("c", arrow.BinaryTypes.String), column("id", arrow.PrimitiveTypes.Int64), column("who", arrow.BinaryTypes.String),
		column("what", arrow.BinaryTypes.String), column("at", arrow.PrimitiveTypes.Int64), column("inbox", arrow.PrimitiveTypes.Int64),
	}, spoken, 2)
	cfg := testConfig(dir)
	set := spokenSet
	set.Files = []string{"spoken.parquet"}
	cfg.Messages = []Set{set}
	return cfg
}

func TestParquetValues(t *testing.T) {
	got, err := mustOpen(t, writeSpoken(t)).Values(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(spokenValues, got); diff != "" {
		t.Error(diff)
	}
}

func TestParquetSample(t *testing.T) {
	p := mustOpen(t, writeSpoken(t))
	p.unpruned = true
	whole := plain(transcripts(t, p, ""))
	read := func(r *Reader, err error) (all []Transcript) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for {
			page, err := r.Next(context.Background())
			if err != nil {
				return plain(all)
			}
			all = append(all, page.Transcripts...)
		}
	}
	if diff := cmp.Diff(whole, read(p.Sample(t.Context(), 1000))); diff != "" {
		t.Errorf("a sample of more rows than there are: %s", diff)
	}
	if got := read(p.Sample(t.Context(), 0)); len(got) > 0 {
		t.Errorf("a sample of no rows has %d conversations", len(got))
	}
	for _, one := range whole {
		got := read(p.Only(t.Context(), []string{one.ConversationID, "unknown"}))
		if diff := cmp.Diff([]Transcript{one}, got); diff != "" {
			t.Error(diff)
		}
	}
}
