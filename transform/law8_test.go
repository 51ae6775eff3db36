package transform

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/chatbackfill/chatbackfill/extract"
)

// deliveries models a job's ledger and due note of one conversation.
type deliveries struct {
	o     Options
	start extract.Time
	sent  map[uint64]string // JSON by key
	due   extract.Time
	upper extract.Time // of the last run
}

// run is one run over the rows that are there at its upper bound. changed says
// whether any came since the last; without that and without a due note the run
// does not look at the conversation.
func (d *deliveries) run(t failer, tr *extract.Transcript, upper extract.Time, changed bool) {
	d.upper = upper
	if !changed && (d.due == 0 || d.due > upper) {
		return
	}
	c := build(t, d.o, tr, Known{Start: d.start, Horizon: upper})
	d.due = c.Due
	for _, e := range c.Events {
		if d.sent[e.Key] != "" || e.Name == Started && d.start != 0 {
			continue
		}
		if e.Name == Started {
			d.start = c.Start
		}
		d.sent[e.Key] = string(e.JSON)
	}
}

func (d *deliveries) events() []string {
	var all []string
	for _, e := range d.sent {
		all = append(all, e)
	}
	slices.Sort(all)
	return all
}

// Law 8: one import, and any number of incremental runs over the same rows as
// they arrive, deliver the same events.
func TestLaw8(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawLive(t)
		tr := drawLiveTranscript(t, o)
		if !answered(o, tr) {
			t.Skip("an agent answers later than wait_for_agent")
		}
		uppers := drawUppers(t)
		last := uppers[len(uppers)-1]
		imported := &deliveries{o: o, sent: map[uint64]string{}}
		imported.run(t, tr, last, true)
		live := &deliveries{o: o, sent: map[uint64]string{}}
		seen := extract.Time(0)
		for _, upper := range uppers {
			now, changed := visible(tr, seen, upper)
			live.run(t, now, upper, changed)
			seen = upper
		}
		if imported.due > last {
			t.Skip("something waits still")
		}
		if diff := cmp.Diff(imported.events(), live.events()); diff != "" {
			t.Fatalf("-one import +%d runs:\n%s", len(uppers), diff)
		}
	})
}

// drawLive draws options with which later rows change nothing but what the law
// is about: whom the customers wrote to.
func drawLive(t *rapid.T) Options {
	o := drawSendable(t)
	o.Agent = oneOf(t, "strategy", Handling, Handling, Handling, Assignee, NoAgent)
	o.WaitForAgent = oneOf(t, "waits", 5*time.Minute, time.Hour, 2*time.Hour)
	o.Final, o.HoldRejected, o.Directory = false, false, map[string]extract.DirectoryAgent{}
	for _, id := range []string{"agent 3", "agent 7", "agent ann", "agent i\xff"} {
		o.Directory[id] = extract.DirectoryAgent{Person: extract.Person{ID: id, Name: "Agent " + id[6:]}}
	}
	return o
}

// drawLiveTranscript draws a transcript of one known customer, whose rows are
// never changed and say the same of the same agent.
func drawLiveTranscript(t *rapid.T, o Options) *extract.Transcript {
	tr := drawDistinct(t, len(o.Extra))
	name := func(p *extract.Person) {
		if p.Known() {
			*p = extract.Person{ID: "agent " + p.ID, Name: "Agent " + p.ID}
		}
	}
	for i := range tr.Messages {
		m := &tr.Messages[i]
		name(&m.Author)
		name(&m.Agent)
		m.UserID, m.AnonymousID, m.ChangedAt = "u1", "", m.SentAt
	}
	c := extract.Conversation{ConversationID: tr.ConversationID, UserID: "u1", Assignee: drawPerson(t, "assignee")}
	name(&c.Assignee)
	tr.Conversations = []extract.Conversation{c}
	toldTwice := slices.ContainsFunc(tr.Messages, func(m extract.Message) bool { return m.Kind == extract.KindEnd })
	if !toldTwice && rapid.Bool().Draw(t, "ends") {
		c.EndedAt = drawTime(t, "ended at").Add(oneOf(t, "ended a bit later", 0, time.Second, time.Minute))
		c.ChangedAt, c.EndedBy = c.EndedAt, oneOf(t, "ended by", "", "agent 3")
		tr.Conversations = append(tr.Conversations, c)
	}
	return tr
}

// answered reports whether agents answer within wait_for_agent, up to the next
// end, and ends are told before they are inferred.
func answered(o Options, tr *extract.Transcript) bool {
	o.setDefaults()
	n := &naive{o: o, known: Known{Horizon: noon.Add(100 * 24 * time.Hour)}, clean: func(extract.Message) string { return "" }}
	res := naiveResult{Tally: NewTally()}
	n.read(tr, &res)
	n.first = slices.IndexFunc(n.rows, func(r naiveRow) bool { return r.isMessage && r.Role == extract.Customer })
	n.findEnds(&res)
	for _, e := range n.ends {
		if o.EndAfterIdle > 0 && !e.inferred && e.at.Sub(n.rows[e.last].SentAt) >= o.EndAfterIdle {
			return false
		}
	}
	if o.Agent != Handling {
		return true
	}
	for i, r := range n.rows {
		bound := len(n.rows) - 1
		for _, e := range n.ends {
			if e.place >= i {
				bound = min(bound, e.bound)
			}
		}
		acted := slices.ContainsFunc(n.rows[:i+1], func(r naiveRow) bool { _, ok := n.acts(r); return ok })
		for k := i + 1; k <= bound && !acted && r.isMessage; k++ {
			if _, ok := n.acts(n.rows[k]); ok {
				if n.rows[k].SentAt.Sub(r.SentAt) >= o.WaitForAgent {
					return false
				}
				break
			}
		}
	}
	return true
}

func drawUppers(t *rapid.T) []extract.Time {
	var uppers []extract.Time
	for range rapid.IntRange(0, 6).Draw(t, "runs") {
		uppers = append(uppers, drawTime(t, "upper").Add(oneOf(t, "a bit later", 0, 1, time.Second, 31*time.Minute)))
	}
	slices.Sort(uppers)
	return append(uppers, noon.Add(72*time.Hour))
}

// visible returns the rows below an upper bound, and whether any came since.
func visible(tr *extract.Transcript, since, upper extract.Time) (*extract.Transcript, bool) {
	now, changed := extract.Transcript{ConversationID: tr.ConversationID}, false
	for _, m := range tr.Messages {
		if m.ChangedAt < upper {
			now.Messages = append(now.Messages, m)
			changed = changed || m.ChangedAt >= since
		}
	}
	for _, c := range tr.Conversations {
		if c.ChangedAt < upper {
			now.Conversations = append(now.Conversations, c)
			changed = changed || c.ChangedAt >= since
		}
	}
	return &now, changed
}

// Law 8, of rows that arrive late: nothing is lost, and no second start is sent.
func TestLaw8Late(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawLive(t)
		o.Agent = oneOf(t, "any strategy", Handling, FirstResponder, LastResponder, Assignee, NoAgent)
		tr := drawLiveTranscript(t, o)
		for i := range tr.Messages {
			m := &tr.Messages[i]
			m.ChangedAt = m.SentAt.Add(oneOf(t, "late", 0, 0, time.Second, time.Hour, 26*time.Hour))
		}
		uppers := drawUppers(t)
		live := &deliveries{o: o, sent: map[uint64]string{}}
		seen := extract.Time(0)
		for _, upper := range uppers {
			now, changed := visible(tr, seen, upper)
			live.run(t, now, upper, changed)
			seen = upper
		}
		started := 0
		for _, e := range live.sent {
			if eventName(t, e) == Started.String() {
				started++
			}
		}
		for _, e := range build(t, o, tr, Known{Start: live.start, Horizon: uppers[len(uppers)-1]}).Events {
			if e.Name != Started && live.sent[e.Key] == "" {
				t.Fatalf("lost: %s", e.JSON)
			}
		}
		if started > 1 {
			t.Fatalf("%d starts", started)
		}
	})
}

// eventName returns the name of an encoded event.
func eventName(t failer, encoded string) string {
	var e struct{ Event string }
	if err := json.Unmarshal([]byte(encoded), &e); err != nil {
		t.Fatal(err)
	}
	return e.Event
}
