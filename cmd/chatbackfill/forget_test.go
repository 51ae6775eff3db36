package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/chatbackfill/chatbackfill/jobs"
)

func TestDeletionCall(t *testing.T) {
	for name, test := range map[string]struct {
		spec jobs.SegmentSpec
		host string
	}{
		"us":       {jobs.SegmentSpec{Region: "us"}, "https://api.segmentapis.com/regulations"},
		"eu":       {jobs.SegmentSpec{Region: "eu"}, "https://eu1.api.segmentapis.com/regulations"},
		"endpoint": {jobs.SegmentSpec{Endpoint: "https://events.eu1.segmentapis.com"}, "https://eu1.api.segmentapis.com/regulations"},
	} {
		spec := &jobs.Spec{Destination: jobs.DestinationSpec{Segment: &test.spec}}
		call := deletionCall(spec, jobs.Subjects{UserIDs: []string{"o'neill", `a"b`}})
		if !strings.HasPrefix(call, "curl "+test.host+" ") {
			t.Errorf("%s: %s", name, call)
		}
		_, body, _ := strings.Cut(call, "-d '")
		body = strings.ReplaceAll(strings.TrimSuffix(body, "'"), `'\''`, "'")
		var sent struct{ SubjectIDs []string }
		if err := json.Unmarshal([]byte(body), &sent); err != nil || len(sent.SubjectIDs) != 2 || sent.SubjectIDs[0] != "o'neill" || sent.SubjectIDs[1] != `a"b` {
			t.Errorf("%s: body %s: %+v, %v", name, body, sent, err)
		}
	}
	spec := &jobs.Spec{Destination: jobs.DestinationSpec{Segment: &jobs.SegmentSpec{}}}
	if call := deletionCall(spec, jobs.Subjects{AnonymousIDs: []string{"a"}}); call != "" {
		t.Errorf("a call that Segment does not know: %s", call)
	}
}
