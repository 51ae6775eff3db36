package transform

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/chatbackfill/chatbackfill/extract"
)

// TestBuildIsNaive holds Build to the naive implementation: events byte for
// byte, outcomes of rows and events, due time and rejects.
func TestBuildIsNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		tr := drawTranscript(t, len(o.Extra))
		if rarely(t, "rows ahead") {
			tr.Ahead = drawTime(t, "ahead").Add(time.Hour)
		}
		known := drawKnown(t)
		want := naiveBuild(o, tr, known)
		got := observe(t, o, tr, known)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("Build differs from the naive implementation (-naive +Build):\n%s", diff)
		}
	})
}

// observe builds a conversation and returns what the naive implementation does.
func observe(t failer, o Options, tr *extract.Transcript, known Known) naiveResult {
	b, err := NewBuilder(o)
	if err != nil {
		t.Fatal(err)
	}
	tally := NewTally()
	res := observed(b.Build(tr, known, &tally))
	res.Tally = tally
	return res
}

func observed(c Conversation) naiveResult {
	res := naiveResult{Start: c.Start, Due: c.Due, Rejected: c.Rejected}
	for _, e := range c.Events {
		res.JSON = append(res.JSON, string(e.JSON))
	}
	for _, r := range c.Rejects {
		// Details are for people.
		res.Rejects = append(res.Rejects, extract.Reject{Reason: r.Reason, Set: r.Set, Locator: r.Locator})
	}
	return res
}

type failer interface{ Fatal(args ...any) }

// build builds one conversation with a new Builder.
func build(t failer, o Options, tr *extract.Transcript, known Known) Conversation {
	b, err := NewBuilder(o)
	if err != nil {
		t.Fatal(err)
	}
	tally := NewTally()
	return b.Build(tr, known, &tally)
}
