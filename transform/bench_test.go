package transform

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/analytics-go/v3"

	"github.com/chatbackfill/chatbackfill/extract"
)

// supportChats are transcripts as a help desk has them: ten messages each by a
// customer and an agent, a bot's greeting, an assignment and an end.
func supportChats(n int) []extract.Transcript {
	all := make([]extract.Transcript, n)
	for i := range all {
		id := fmt.Sprintf("conv-%06d", i)
		customer := extract.Person{ID: fmt.Sprintf("visitor-%d", i)}
		agent := extract.Person{ID: fmt.Sprint(i % 40), Name: "Peter Gibbons", Username: "pgibbons"}
		at := noon.Add(time.Duration(i) * time.Hour)
		add := func(m extract.Message) {
			m.ConversationID, m.MessageID = id, fmt.Sprintf("%s-%d", id, len(all[i].Messages))
			at = at.Add(17 * time.Second)
			m.SentAt = at
			all[i].Messages = append(all[i].Messages, m)
		}
		all[i].ConversationID = id
		add(extract.Message{Role: extract.Bot, Author: extract.Person{ID: "b1", Name: "Greeter"}, Body: "Hello! How can we help?"})
		add(extract.Message{Role: extract.System, Kind: extract.KindAssign, Agent: agent})
		for k := range 9 {
			if k%2 == 0 {
				add(extract.Message{Role: extract.Customer, Author: customer, UserID: "user-" + customer.ID, Body: "But then they switched from the Swingline to the Boston stapler!"})
			} else {
				add(extract.Message{Role: extract.Agent, Author: agent, Body: "Yeah, uh huh, okay, \"Milton\" & thanks for letting us know about it."})
			}
		}
		add(extract.Message{Role: extract.Agent, Kind: extract.KindEnd, Author: agent})
	}
	return all
}

func newBuilder(tb testing.TB, o Options) *Builder {
	b, err := NewBuilder(o)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func BenchmarkBuild(b *testing.B)         { benchmarkBuild(b, Options{Namespace: "support", Label: "prod"}) }
func BenchmarkBuildRedacted(b *testing.B) { benchmarkBuild(b, Options{MessageBody: RedactBody}) }
func BenchmarkBuildDerived(b *testing.B)  { benchmarkBuild(b, Options{Derived: DerivedProperties}) }

func benchmarkBuild(b *testing.B, o Options) {
	chats := supportChats(1000)
	builder := newBuilder(b, o)
	tally := NewTally()
	events := 0
	perEvent(b, &events, func() {
		for b.Loop() {
			for i := range chats {
				c := builder.Build(&chats[i], Known{}, &tally)
				events += len(c.Events)
			}
		}
	})
}

// BenchmarkMarshalTracks encodes the same events as analytics-go tracks that
// are already there.
func BenchmarkMarshalTracks(b *testing.B) {
	var tracks []analytics.Track
	for _, e := range supportEvents(b) {
		tracks = append(tracks, track(&e))
	}
	events := 0
	perEvent(b, &events, func() {
		for b.Loop() {
			for i := range tracks {
				if _, err := json.Marshal(tracks[i]); err != nil {
					b.Fatal(err)
				}
			}
			events += len(tracks)
		}
	})
}

// BenchmarkMakeTracks makes the same events analytics-go tracks, ids and maps of
// properties included, and encodes them: what rebuilding without an encoder of
// our own would cost at least.
func BenchmarkMakeTracks(b *testing.B) {
	all, events := supportEvents(b), 0
	root := uuid.New()
	perEvent(b, &events, func() {
		for b.Loop() {
			for i := range all {
				e := &all[i]
				t := track(e)
				t.MessageId = uuid.NewSHA1(root, []byte(e.ConversationID+separator+t.Event+separator+e.MessageID)).String()
				if _, err := json.Marshal(t); err != nil {
					b.Fatal(err)
				}
			}
			events += len(all)
		}
	})
}

func supportEvents(b *testing.B) (all []Event) {
	builder, tally := newBuilder(b, Options{Namespace: "support", Label: "prod"}), NewTally()
	for _, chat := range supportChats(1000) {
		all = append(all, builder.Build(&chat, Known{}, &tally).Events...)
	}
	return all
}

func perEvent(b *testing.B, events *int, run func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(*events), "ns/event")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(*events), "allocs/event")
	b.ReportMetric(0, "ns/op")
}
