package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/transform"
)

// What the table says of conversations that started late, programs are told too.
func TestSummaryJSON_StartedLate(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out, output: outputJSON}
	spec := &jobs.Spec{Destination: jobs.DestinationSpec{File: &jobs.FileSpec{}}}
	a.summarize(spec, jobs.Summary{Tally: transform.Tally{StartedLate: 2}}, nil)
	var record map[string]any
	if err := json.Unmarshal(out.Bytes(), &record); err != nil {
		t.Fatal(err)
	}
	if got := record["started_late"]; got != 2.0 {
		t.Errorf("started_late %v, want 2", got)
	}
}
