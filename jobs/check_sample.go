package jobs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// sampleRows is how many rows are mapped and rebuilt to see what becomes of them.
const sampleRows = 1000

// checkSample is what became of a sample of conversations.
type checkSample struct {
	counts      Counts
	strays      int // rows of no conversation
	judged      int // conversations that are not held back because of a row
	unknown     int // of those, without a customer whom anybody knows
	firstReject *extract.Reject
	events      int
	oldest      extract.Time
	messages    int            // events with a text
	marked      int            // texts that look like HTML
	personal    map[string]int // personal data in texts, by pattern
	withData    int            // texts that have any
}

// sampled rebuilds a sample of conversations.
func (c *checker) sampled(ctx context.Context) {
	sample, err := c.readSample(ctx)
	if err != nil {
		c.fail(err)
		return
	}
	c.sample = sample
	tally := &sample.counts
	if sample.strays > 0 {
		c.warn("where: conversation_id != nil in the set, if they are no messages of a conversation",
			"%s rows belong to no conversation, and would be rejected", humanize.Comma(int64(sample.strays)))
	}
	if tally.Conversations == 0 {
		c.warn("check table, files and where", "no conversation was found")
		return
	}
	var halt *Error
	if err := c.Spec.Rejects.Max.check(tally); errors.As(err, &halt) {
		c.fail(&Error{Exit: halt.Exit, Err: fmt.Errorf("in a sample, %w", err), Try: "mend the mapping: " + c.firstReject()})
		return
	}
	text := fmt.Sprintf("%s of %s %s %s", countOf(tally.RowCount(), "row", "rows"),
		countOf(tally.Conversations, "conversation", "conversations"), plural(tally.RowCount(), "becomes", "become"),
		countOf(sample.events, "event", "events"))
	if tally.RejectedRows > 0 {
		c.warn(c.firstReject(), "%s; %s cannot be read", text, countOf(tally.RejectedRows, "row", "rows"))
		return
	}
	c.ok("%s", text)
}

func (c *checker) firstReject() string {
	if r := c.sample.firstReject; r != nil {
		return fmt.Sprintf("the first is %s: %s", r.Locator, r.Detail)
	}
	return "see chatbackfill preview"
}

// readSample reads some conversations and rebuilds them as a run with --final
// would.
func (c *checker) readSample(ctx context.Context) (*checkSample, error) {
	source, ok := c.source.(sampler)
	if !ok {
		return nil, fmt.Errorf("read a sample: the source has none")
	}
	upper, err := c.source.Bound(ctx)
	if err != nil {
		return nil, err
	}
	transcripts, err := sampleOf(ctx, source, upper, 2*sampleRows, func(sample []extract.Transcript) bool {
		rows := 0
		for i := range sample {
			if sample[i].ConversationID != "" {
				rows += len(sample[i].Messages) + len(sample[i].Rejects)
			}
		}
		return rows >= sampleRows
	})
	if err != nil {
		return nil, err
	}
	options, err := c.statelessOptions(ctx, c.source)
	if err != nil {
		return nil, err
	}
	options.Final = true
	builder, err := transform.NewBuilder(options)
	if err != nil {
		return nil, err
	}
	s := &checkSample{counts: newCounts(), personal: make(map[string]int)}
	for i := range transcripts {
		t := &transcripts[i]
		if t.ConversationID == "" {
			for i := range t.Rejects {
				s.strays += t.Rejects[i].RowCount()
			}
			continue
		}
		built := builder.Build(t, transform.Known{Horizon: upper}, &s.counts.Tally)
		s.counts.reject(&built, nil)
		s.add(&built)
	}
	return s, nil
}

// markup is what tells HTML from a text in which somebody writes of it.
var markup = regexp.MustCompile(`(?i)<(p|br|div|span|a|b|strong|ul|ol|li|img)(\s[^<>]*)?/?>`)

func (s *checkSample) add(c *transform.Conversation) {
	if len(c.Events) > 0 || c.Rejected == transform.NoIdentity {
		s.judged++
	}
	if c.Rejected == transform.NoIdentity {
		s.unknown++
	} else if s.firstReject == nil && len(c.Rejects) > 0 {
		s.firstReject = &c.Rejects[0]
	}
	s.events += len(c.Events)
	for i := range c.Events {
		e := &c.Events[i]
		if s.oldest == 0 || e.Timestamp < s.oldest {
			s.oldest = e.Timestamp
		}
		if e.Body == "" || e.Name != transform.Sent && e.Name != transform.Received {
			continue
		}
		s.messages++
		if markup.MatchString(e.Body) {
			s.marked++
		}
		found := make(map[string]int)
		transform.CountPersonalData(e.Body, found)
		for name, n := range found {
			s.personal[name] += n
		}
		s.withData += min(1, len(found))
	}
}

// identity warns of conversations of which nobody knows whose they are.
func (c *checker) identity(context.Context) {
	if c.sample == nil || c.sample.judged == 0 {
		return
	}
	n, of := c.sample.unknown, c.sample.judged
	if n > 0 {
		c.warn("map user_id or anonymous_id of messages or conversations; or identity: anonymous",
			"in a sample, %d of %d conversations do not say who the customer is, and would be rejected", n, of)
		return
	}
	c.ok("all of a sample of %d conversations have a user id or an anonymous id", of)
}

// personalNames are the patterns of personal data as people call them.
var personalNames = map[string]string{"email": "e-mail addresses", "phone": "telephone numbers", "card": "payment cards", "iban": "IBANs", "ip": "IP addresses"}

// texts warns of what should not be in texts as they would be sent.
func (c *checker) texts(context.Context) {
	s := c.sample
	policy := c.Spec.Conversation.MessageBody
	if s == nil || s.events == 0 {
		return
	}
	if policy == transform.OmitBody {
		c.ok("no texts are sent")
		return
	}
	if s.marked*10 > s.messages && c.Spec.Conversation.BodyFormat == transform.Text {
		c.warn("body_format: html", "%d of %d texts of a sample look like HTML", s.marked, s.messages)
	}
	var found []string
	for _, name := range transform.PersonalData {
		if n := s.personal[name]; n > 0 {
			found = append(found, fmt.Sprintf("%s (%d)", personalNames[name], n))
		}
	}
	switch {
	case policy == transform.RedactBody:
		c.ok("personal data in texts is replaced before they are sent")
	case len(found) > 0:
		c.warn("message_body: redact, or omit", "%d of %d texts of a sample have personal data: %s", s.withData, s.messages, strings.Join(found, ", "))
	default:
		c.ok("texts are sent as they are; no personal data was recognized in a sample of %d", s.messages)
	}
}

// PickyDestination is a destination of Segment's that does not take events of
// any age.
type PickyDestination struct {
	Name  string
	Takes time.Duration // it takes events up to this age
	Says  string
}

// PickyDestinations are those known.
var PickyDestinations = []PickyDestination{
	{"Google Analytics 4", 72 * time.Hour, "Google Analytics 4 takes events of the last 72 hours only: switch it off with integrations"},
	{"Mixpanel", 5 * 24 * time.Hour, "Mixpanel takes them through Segment's action destination, not through the classic one"},
}

// oldEvents warns of destinations that refuse events as old as those there are.
func (c *checker) oldEvents(context.Context) {
	segment := c.Spec.Destination.Segment
	if segment == nil || c.sample == nil || c.sample.oldest == 0 {
		return
	}
	oldest := c.sample.oldest.Time()
	only, ok := segment.Integrations["All"].(bool)
	if ok && !only {
		c.ok("events go back to %s at least; destinations are off but for those under integrations", oldest.Format(time.DateOnly))
		return
	}
	var picky []string
	for _, d := range PickyDestinations {
		if on, said := segment.Integrations[d.Name].(bool); c.now.Sub(oldest) > d.Takes && (!said || on) {
			picky = append(picky, d.Says)
		}
	}
	if len(picky) == 0 {
		c.ok("events are young enough for every destination")
		return
	}
	c.warn("integrations: {All: false, and true for each destination that should have them}",
		"events go back to %s at least. %s", oldest.Format(time.DateOnly), strings.Join(picky, "; "))
}
