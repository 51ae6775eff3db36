package jobs

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
	"github.com/chatbackfill/chatbackfill/transform"
)

var updateReport = flag.Bool("update-report", false, "write the golden report anew")

const (
	canaryCustomer     = "canary-customer-19c"
	canaryConversation = "canary-conversation-5e"
)

var reportEnd = time.Date(2026, 3, 9, 16, 30, 0, 0, time.UTC)

// reportSpec is a job into Segment with everything that must not be seen.
func reportSpec(t testing.TB) *Spec {
	t.Helper()
	file := deliveryJob + `
state: postgres://loader:` + canaryKey + `@state.example/chats
destination:
  segment: {source: shop, write_key: "` + canaryKey + `"}
alerts: {on_failure: "https://alerts.example/` + canaryKey + `"}
`
	spec, err := ParseSpec("/etc/chat jobs/shop.yaml", []byte(file), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// reportChat are the events of a chat: it starts, is answered, goes on and ends.
func reportChat(n int, start time.Time, reply, length time.Duration, agent extract.Person) []*transform.Event {
	event := func(name transform.Name, after time.Duration) *transform.Event {
		return &transform.Event{
			Name: name, Timestamp: extract.TimeOf(start.Add(after)), Duration: int64(after / time.Second), Agent: agent,
			ConversationID: fmt.Sprintf("%s-%d", canaryConversation, n), UserID: canaryCustomer, AnonymousID: canaryCustomer, Body: canaryBody,
		}
	}
	return []*transform.Event{
		event(transform.Started, 0), event(transform.Sent, 0), event(transform.Received, reply),
		event(transform.Sent, length), event(transform.Ended, length),
	}
}

// fewChats are three chats on two days.
func fewChats() []*transform.Event {
	at := time.Date(2026, 3, 2, 9, 15, 0, 0, time.UTC)
	ada, bo := extract.Person{ID: "7", Name: "Ada <Lovelace>"}, extract.Person{ID: "8", Username: "bo"}
	return slices.Concat(
		reportChat(1, at, 40*time.Second, 20*time.Minute, ada),
		reportChat(2, at.Add(time.Hour), 5*time.Minute, 3*time.Hour, bo),
		reportChat(3, at.Add(24*time.Hour), 95*time.Second, 10*time.Minute, ada),
	)
}

// manyChats are chats over so many days, with large numbers and long names.
func manyChats(days int) []*transform.Event {
	var events []*transform.Event
	start := time.Date(2024, 11, 30, 23, 59, 0, 0, time.UTC)
	for n := range 6 * days {
		agent := extract.Person{ID: fmt.Sprint(n % 37 % 23), Name: fmt.Sprintf("Agent Nr. %d", n%37%23)}
		if n%37%23 == 3 {
			agent.Name = "Wolfeschlegelsteinhausenbergerdorff Hubert Blaine the Elder"
		}
		at := start.Add(time.Duration(n) * 240 * time.Minute)
		reply := time.Duration(1+n*n%977) * time.Second << (n % 9)
		events = append(events, reportChat(n, at, reply, 3*reply, agent)...)
	}
	return events
}

func accepted(n int) []load.Outcome { return slices.Repeat([]load.Outcome{{Accepted: true}}, n) }

func summaryOf(events []*transform.Event) Summary {
	s := Summary{RunID: "FIXEDRUN", Took: 1530 * time.Millisecond, Tally: transform.NewTally(), Sent: make(map[transform.Name]int)}
	for _, e := range events {
		s.Sent[e.Name]++
		at := e.Timestamp.Time()
		if s.Oldest.IsZero() || at.Before(s.Oldest) {
			s.Oldest = at
		}
		if at.After(s.Newest) {
			s.Newest = at
		}
	}
	s.Tally.Rows = map[transform.Outcome]int{
		transform.Caused: len(events), transform.Informs: 12, transform.Duplicate: 3, transform.Ignored + "note": 1204, transform.Waiting: 2,
		transform.Rejected + "unknown_role": 2, transform.Rejected + "held": 31,
	}
	s.Tally.Events = map[transform.Outcome]int{transform.Accepted: len(events), transform.Delivered: 4, transform.Rejected + "too_large": 1}
	s.Tally.Conversations = s.Sent[transform.Started] + 3
	s.Due, s.NextDue, s.Rejects = 2, reportEnd.Add(time.Hour), 4
	return s
}

func reportHTML(t testing.TB, r *Report, s Summary, failure error) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := r.WriteHTML(&out, reportSpec(t), s, failure, reportEnd); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func reportOf(events []*transform.Event) *Report {
	r := NewReport()
	r.Add(events, accepted(len(events)))
	return r
}

// reportPages are pages of all sorts.
func reportPages(t testing.TB) map[string][]byte {
	pages := make(map[string][]byte)
	for name, events := range map[string][]*transform.Event{"few": fewChats(), "days": manyChats(55), "months": manyChats(800)} {
		s := summaryOf(events)
		pages[name] = reportHTML(t, reportOf(events), s, nil)
	}
	pages["nothing"] = reportHTML(t, NewReport(), Summary{RunID: "FIXEDRUN", Nothing: true, Tally: transform.NewTally()}, nil)
	stopped := errors.Join(&Error{Exit: ExitRefused, Err: errors.New("send to https://api.segment.io/v1/batch: 401 Unauthorized"), Try: "check the write key"}, errors.New("release lease: connection refused"))
	pages["stopped"] = reportHTML(t, NewReport(), Summary{RunID: "FIXEDRUN", Tally: transform.NewTally()}, stopped)
	return pages
}

func TestReportGolden(t *testing.T) {
	got := reportHTML(t, reportOf(fewChats()), summaryOf(fewChats()), ErrInterrupted)
	path := filepath.Join("testdata", "report", "few.html")
	if *updateReport {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, got, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		came := filepath.Join(t.ArtifactDir(), "few.html")
		if err := os.WriteFile(came, got, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Errorf("the report is not %s: compare with %s, or run go test ./jobs -run ReportGolden -update-report", path, came)
	}
}

func TestReportKeepsSecrets(t *testing.T) {
	for name, page := range reportPages(t) {
		for _, canary := range []string{canaryBody, canaryKey, canaryCustomer, canaryConversation} {
			if bytes.Contains(page, []byte(canary)) {
				t.Errorf("%s: %s can be seen", name, canary)
			}
		}
	}
}

func TestReportIsOnePage(t *testing.T) {
	for name, page := range reportPages(t) {
		nodes := parseWellFormed(t, name, page)
		ids := make(map[string]bool)
		for _, n := range nodes {
			for _, a := range n.Attr {
				switch {
				case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
					t.Errorf("%s: <%s %s> is against the page's policy", name, n.Data, a.Key)
				case (a.Key == "src" || a.Key == "href" || a.Key == "action" || a.Key == "srcset") && a.Val != "data:,":
					t.Errorf("%s: <%s> loads %q", name, n.Data, a.Val)
				case a.Key == "id" && ids[a.Val]:
					t.Errorf("%s: id %s is there twice", name, a.Val)
				case a.Key == "id":
					ids[a.Val] = true
				}
			}
			if slices.Contains([]string{"script", "iframe", "img", "object", "embed", "form", "base"}, n.Data) {
				t.Errorf("%s: has <%s>", name, n.Data)
			}
		}
		for _, n := range nodes {
			for _, id := range strings.Fields(attribute(n, "aria-labelledby")) {
				if !ids[id] {
					t.Errorf("%s: nothing has the id %s", name, id)
				}
			}
		}
		if css := regexp.MustCompile(`url\(|@import`).Find(page); css != nil {
			t.Errorf("%s: the style sheet loads something: %s", name, css)
		}
		if bytes.Contains(page, []byte("ZgotmplZ")) {
			t.Errorf("%s: a value was refused by html/template", name)
		}
	}
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// parseWellFormed checks that every element is closed where it should be, and
// returns all elements.
func parseWellFormed(t *testing.T, name string, page []byte) []*html.Node {
	t.Helper()
	var open []string
	void := []string{"meta", "link", "br", "hr"}
	for z := html.NewTokenizer(bytes.NewReader(page)); z.Next() != html.ErrorToken; {
		switch token := z.Token(); {
		case token.Type == html.StartTagToken && !slices.Contains(void, token.Data):
			open = append(open, token.Data)
		case token.Type == html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("%s: </%s> closes %v", name, token.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Fatalf("%s: %v are left open", name, open)
	}
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var elements []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			elements = append(elements, n)
		}
	}
	return elements
}

// TestReportCountsEveryChat draws chats, cuts their events into chunks as a
// pass does, adds these from several goroutines, and counts again.
func TestReportCountsEveryChat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "chats")
		var chats [][]*transform.Event
		messages := 0
		for i := range n {
			at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "day")) * 24 * time.Hour)
			reply := time.Duration(rapid.Int64Range(0, 1e6).Draw(t, "reply")) * time.Second
			chat := reportChat(i, at, reply, reply+time.Duration(rapid.Int64Range(0, 1e7).Draw(t, "length"))*time.Second,
				extract.Person{ID: fmt.Sprint(rapid.IntRange(1, 5).Draw(t, "agent"))})
			messages += 3
			chats = append(chats, chat)
		}
		r := NewReport()
		var adding sync.WaitGroup
		for _, chunk := range cut(chats, rapid.IntRange(1, 12).Draw(t, "chunk")) {
			adding.Go(func() { r.Add(chunk, accepted(len(chunk))) })
		}
		adding.Wait()
		r.closeAll()
		checkReport(t, r, chats, messages)
	})
}

// cut cuts chats into chunks of so many events: whole chats, but of one that
// has more.
func cut(chats [][]*transform.Event, size int) [][]*transform.Event {
	var chunks [][]*transform.Event
	var chunk []*transform.Event
	for _, chat := range chats {
		if len(chunk)+len(chat) > size && len(chunk) > 0 {
			chunks, chunk = append(chunks, chunk), nil
		}
		for len(chat) > size {
			chunks, chat = append(chunks, chat[:size]), chat[size:]
		}
		chunk = append(chunk, chat...)
	}
	return append(chunks, chunk)
}

func checkReport(t *rapid.T, r *Report, chats [][]*transform.Event, messages int) {
	t.Helper()
	var want histogram
	for _, chat := range chats {
		want.add(chat[2].Timestamp.Sub(chat[0].Timestamp))
	}
	if r.replies != want {
		t.Fatalf("%d first replies, want %d, or others", r.replies.n, want.n)
	}
	if started(r) != len(chats) || r.durations.n != len(chats) {
		t.Fatalf("%d chats started, %d have a duration; want %d", started(r), r.durations.n, len(chats))
	}
	buckets, days, received, handled := 0, dayCounts{}, 0, 0
	for b := range histogramBuckets {
		buckets += r.durations.bucket(b)
	}
	for _, day := range r.days {
		days.conversations += day.conversations
		days.messages += day.messages
	}
	for _, a := range r.agents {
		received += a.messages
		handled += a.conversations
	}
	if buckets != len(chats) || days != (dayCounts{len(chats), messages}) || received != len(chats) || handled != len(chats) {
		t.Fatalf("%d in buckets, %+v in days, %d received, %d handled; want %d chats with %d messages", buckets, days, received, handled, len(chats), messages)
	}
	if line := r.timeline(); len(chats) > 0 && (line.Conversations.Total != len(chats) || line.Messages.Total != messages) {
		t.Fatalf("%d and %d in the timeline", line.Conversations.Total, line.Messages.Total)
	}
}

// TestReportOfRun runs a job with chunks smaller than many of its conversations
// and with large ones: the report is the same.
func TestReportOfRun(t *testing.T) {
	var reports []*Report
	for _, chunk := range []int{20, 5_000} {
		d, r := newDelivery(t), NewReport()
		summary, err := Execute(t.Context(), Execution{Spec: d.spec(), Report: r, Log: slog.New(slog.DiscardHandler), chunkEvents: chunk})
		if err != nil {
			t.Fatal(err)
		}
		var page bytes.Buffer
		if err := r.WriteHTML(&page, d.spec(), summary, nil, reportEnd); err != nil {
			t.Fatal(err)
		}
		for _, canary := range []string{canaryKey, canaryBody} {
			if strings.Contains(page.String(), canary) {
				t.Errorf("%s can be seen", canary)
			}
		}
		if started(r) != summary.Sent[transform.Started] || r.durations.n != started(r) || r.replies.n == 0 {
			t.Errorf("%d started, %d durations, %d replies; %d were sent", started(r), r.durations.n, r.replies.n, summary.Sent[transform.Started])
		}
		reports = append(reports, r)
	}
	if diff := cmp.Diff(reports[1], reports[0], cmp.AllowUnexported(Report{}, dayCounts{}, agentKey{}, agentCounts{}, histogram{}), cmpopts.IgnoreTypes(sync.Mutex{})); diff != "" {
		t.Errorf("small chunks make a difference (-large +small):\n%s", diff)
	}
}

func TestReportLeavesOutWhatWasNotAccepted(t *testing.T) {
	events := fewChats()
	outcomes := accepted(len(events))
	outcomes[2] = load.Outcome{Reject: &extract.Reject{}} // the reply of the first chat
	r := NewReport()
	r.Add(events, outcomes)
	r.Add(events, nil) // a chunk that was not sent
	r.closeAll()
	if r.replies.n != 2 || r.durations.n != 3 || started(r) != 3 {
		t.Errorf("%d replies, %d durations, %d started; want 2, 3, 3", r.replies.n, r.durations.n, started(r))
	}
}

func TestReportFirstReplyIsAfterTheStart(t *testing.T) {
	chat := reportChat(1, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), time.Minute, time.Hour, extract.Person{Name: "Ada"})
	greeting := *chat[2]
	greeting.Timestamp = chat[0].Timestamp.Add(-time.Hour)
	unknown := *chat[1]
	unknown.Name, unknown.Agent = transform.Received, extract.Person{}
	events := slices.Concat([]*transform.Event{&greeting, chat[0], &unknown}, chat[1:])
	r := reportOf(events)
	r.closeAll()
	if got := r.replies.percentile(50); r.replies.n != 1 || got != time.Minute {
		t.Errorf("%d replies, after %s; want one after 1m0s", r.replies.n, got)
	}
}

func TestReportOfTooManyAgents(t *testing.T) {
	r := NewReport()
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for n := range maxReportAgents + 5 {
		chat := reportChat(n, at, time.Minute, time.Hour, extract.Person{ID: fmt.Sprint(n)})
		r.Add(chat, accepted(len(chat)))
	}
	if len(r.agents) != maxReportAgents || r.crowd != 5 {
		t.Errorf("%d agents and %d messages of others, want %d and 5", len(r.agents), r.crowd, maxReportAgents)
	}
	if page := reportHTML(t, r, summaryOf(nil), nil); !bytes.Contains(page, []byte("more than 10,000 agents")) {
		t.Error("the page does not say that there are more agents")
	}
}

func TestHistogramPercentiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := rapid.SliceOfN(rapid.Int64Range(-5, 119*86_400), 1, 60).Draw(t, "seconds")
		var h histogram
		for _, s := range seconds {
			h.add(time.Duration(s) * time.Second)
		}
		slices.Sort(seconds)
		for _, percent := range []int{50, 90, 100} {
			exact := time.Duration(max(0, seconds[max(1, (len(seconds)*percent+99)/100)-1])) * time.Second
			got := h.percentile(percent)
			if got > exact || exact < 2*time.Minute && got != exact || float64(got) < 0.97*float64(exact) {
				t.Fatalf("percentile %d of %v is %s, want %s", percent, seconds, got, exact)
			}
		}
	})
}

func TestBucketLabels(t *testing.T) {
	want := "< 10 s|10 – 30 s|30 – 60 s|1 – 2 min|2 – 5 min|5 – 15 min|15 – 30 min|30 – 60 min|1 – 2 h|2 – 4 h|4 – 8 h|8 – 24 h|1 – 3 d|3 – 7 d|7 – 30 d|≥ 30 d"
	var got []string
	for b := range histogramBuckets {
		got = append(got, bucketLabel(b))
	}
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 59 * time.Second: "59 s", time.Minute: "1 min", 130 * time.Second: "2 min 10 s",
		200 * time.Minute: "3 h 20 min", 24*time.Hour + 59*time.Second: "1 d", 52 * time.Hour: "2 d 4 h",
	} {
		if got := durationText(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestTimelineSteps(t *testing.T) {
	first := time.Date(2025, 12, 29, 0, 0, 0, 0, time.UTC) // a Monday
	for days, want := range map[int]string{1: "day 1", 62: "day 62", 63: "week 9", 434: "week 62", 435: "month 16", 4000: "year 12"} {
		r := reportOf(nil)
		for n := range days {
			r.day(extract.TimeOf(first.AddDate(0, 0, n))).messages++
		}
		line := r.timeline()
		if got := fmt.Sprintf("%s %d", line.Unit, len(line.Steps)); got != want || line.Messages.Total != days {
			t.Errorf("%d days: %s with %d messages, want %s", days, got, line.Messages.Total, want)
		}
	}
}

// started is how many conversations started.
func started(r *Report) int {
	n := 0
	for _, day := range r.days {
		n += day.conversations
	}
	return n
}
