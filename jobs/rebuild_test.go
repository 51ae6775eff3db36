package jobs

import (
	"context"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
	"github.com/chatbackfill/chatbackfill/transform"
)

// book is a source of pages that a test has written.
type book struct {
	Source
	pages []extract.Page
}

func (b *book) Pass(extract.Pass) SourcePass { return &bookPass{pages: b.pages} }
func (b *book) RowCount() int64              { return 0 }
func (b *book) Files() []extract.File        { return make([]extract.File, 1) }

type bookPass struct {
	markedPass
	pages []extract.Page
}

func (b *bookPass) Transcripts(context.Context, extract.Position) (Pages, error) { return b, nil }

func (b *bookPass) Next(context.Context) (extract.Page, error) {
	if len(b.pages) == 0 {
		return extract.Page{}, io.EOF
	}
	next := b.pages[0]
	b.pages = b.pages[1:]
	return next, nil
}

func (b *bookPass) Close() error { return nil }

// records is a sink that keeps what its chunks say. Their memory is used again.
type records struct {
	arenas    chan *transform.Arena
	events    []string                 // in order
	positions map[extract.Position]int // how many events come before each
	order     []extract.Position
	tally     Counts
	pending   Counts
	largest   int // chunk, in events
	due       map[string]extract.Time
}

func newRecords() *records {
	return &records{
		arenas: make(chan *transform.Arena, 100), positions: make(map[extract.Position]int),
		tally: newCounts(), pending: newCounts(), due: make(map[string]extract.Time),
	}
}

func (r *records) arena() *transform.Arena {
	select {
	case a := <-r.arenas:
		return a
	default:
		return transform.NewArena()
	}
}

func (r *records) submit(_ context.Context, c *chunk) error {
	for _, e := range c.events {
		r.events = append(r.events, string(e.JSON))
	}
	for _, p := range c.parts {
		for _, e := range c.events[p.from:p.to] {
			if e.ConversationID != p.conversation {
				panic("an event is counted with another conversation")
			}
		}
	}
	r.largest = max(r.largest, len(c.events))
	r.pending.Add(c.tally)
	maps.Copy(r.due, c.due)
	if c.after != "" {
		r.tally.Add(r.pending)
		r.pending = newCounts()
		r.positions[c.after], r.order = len(r.events), append(r.order, c.after)
	}
	for _, a := range c.arenas {
		a.Reset()
		r.arenas <- a
	}
	return nil
}

func (r *records) wait(context.Context) error { return nil }

// TestRebuildSideBySide: however many pages are rebuilt at once, and wherever they
// end, the same events come in the same order, as many before each position, and
// all is counted once.
func TestRebuildSideBySide(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		chunkEvents := rapid.SampledFrom([]int{20, 200}).Draw(r, "events of a chunk")
		pages := drawPages(r)
		read := func(pages []extract.Page, atOnce int) *records {
			sink := newRecords()
			run := &Run{Source: &book{pages: pages}, ledgerEmpty: true, ChunkEvents: chunkEvents}
			p, err := run.newPass(sink, Checkpoint{Tally: newCounts()})
			if err != nil {
				r.Fatal(err)
			}
			for len(p.rebuilders) < atOnce {
				more, err := run.newPass(sink, Checkpoint{Tally: newCounts()})
				if err != nil {
					r.Fatal(err)
				}
				p.rebuilders = append(p.rebuilders, &rebuilder{pass: p, builder: more.rebuilders[0].builder})
			}
			p.rebuilders = p.rebuilders[:atOnce]
			if err := p.read(t.Context(), ""); err != nil {
				r.Fatal(err)
			}
			return sink
		}
		var whole extract.Page
		for _, page := range pages {
			whole.Transcripts = append(whole.Transcripts, page.Transcripts...)
		}
		want := read([]extract.Page{whole}, 1)
		for _, atOnce := range []int{1, 2, 5} {
			got := read(pages, atOnce)
			if !slices.Equal(got.events, want.events) {
				r.Fatalf("%d at once: %d events, want %d, or others", atOnce, len(got.events), len(want.events))
			}
			if got.largest > chunkEvents {
				r.Errorf("%d at once: a chunk has %d events", atOnce, got.largest)
			}
			if !maps.Equal(got.tally.Rows, want.tally.Rows) || got.tally.Conversations != want.tally.Conversations || len(got.pending.Rows) > 0 {
				r.Errorf("%d at once: %v is counted, and %v pending, want %v", atOnce, got.tally, got.pending, want.tally)
			}
			for _, at := range got.order {
				if before, ok := eventsBefore(whole, at); ok && got.positions[at] != before {
					r.Errorf("%d at once: %d events before %q, want %d", atOnce, got.positions[at], at, before)
				}
			}
			if n := len(got.order); n > 0 && got.order[n-1] != want.order[len(want.order)-1] {
				r.Errorf("%d at once: it ends %q", atOnce, got.order[n-1])
			}
		}
	})
}

// TestRebuildGoesOn: while the first of three pages is rebuilt, somebody else
// rebuilds the second and begins with the third.
func TestRebuildGoesOn(t *testing.T) {
	sink := &thirdGate{records: newRecords(), first: make(chan struct{}), third: make(chan struct{})}
	run := &Run{Source: &book{}, ledgerEmpty: true, ChunkEvents: 10}
	var rebuilders []*rebuilder
	for range 2 {
		p, err := run.newPass(sink, Checkpoint{Tally: newCounts()})
		if err != nil {
			t.Fatal(err)
		}
		rebuilders = append(rebuilders, p.rebuilders[0])
	}
	pages := make(chan pageRead)
	inOrder := rebuildAhead(t.Context(), pages, rebuilders)
	send := func(id string) {
		select {
		case pages <- pageRead{Page: extract.Page{Transcripts: []extract.Transcript{chatOf(id, 1)}}}:
		case <-time.After(time.Minute):
			t.Fatalf("nobody rebuilds page %s", id)
		}
	}
	send("1")
	<-sink.first
	done := make(chan int)
	go func() {
		n := 0
		for some := range inOrder {
			<-some
			n++
		}
		done <- n
	}()
	send("2")
	send("3")
	close(pages)
	if n := <-done; n != 3 {
		t.Errorf("%d pages were rebuilt", n)
	}
}

// thirdGate is a sink with which the first page is not rebuilt before the third has begun.
type thirdGate struct {
	*records
	begun        atomic.Int32
	first, third chan struct{} // closed once it has begun
}

func (g *thirdGate) arena() *transform.Arena {
	switch g.begun.Add(1) {
	case 1:
		close(g.first)
		<-g.third
	case 3:
		close(g.third)
	}
	return transform.NewArena()
}

// drawPages draws pages of conversations, some of them larger than a chunk, some
// of no conversation.
func drawPages(r *rapid.T) (pages []extract.Page) {
	n := 0
	for range rapid.IntRange(1, 8).Draw(r, "pages") {
		var page extract.Page
		for range rapid.IntRange(0, 6).Draw(r, "conversations") {
			n++
			messages := rapid.SampledFrom([]int{0, 1, 2, 3, 5, 9, 50}).Draw(r, "messages")
			page.Transcripts = append(page.Transcripts, chatOf(strconv.Itoa(100+n), messages))
		}
		pages = append(pages, page)
	}
	return pages
}

func chatOf(id string, messages int) extract.Transcript {
	chat := extract.Transcript{ConversationID: id}
	if messages == 0 {
		chat.Filtered = 1
	}
	for j := range messages {
		chat.Messages = append(chat.Messages, extract.Message{
			ConversationID: id, MessageID: strconv.Itoa(j), UserID: "u", Role: extract.Customer,
			SentAt: extract.Time(1_700_000_000_000_000_000 + j*1_000_000_000), Body: "hello",
		})
	}
	return chat
}

// eventsBefore is how many events the conversations have up to the one that a
// position comes after: one for each message and one for each start.
func eventsBefore(page extract.Page, at extract.Position) (n int, ok bool) {
	for _, chat := range page.Transcripts {
		if len(chat.Messages) > 0 {
			n += len(chat.Messages) + 1
		}
		if at == extract.Position("after "+chat.ConversationID) {
			return n, true
		}
	}
	return n, false
}

// gaveUp is a destination that fails while an attempt of its still reads events.
type gaveUp struct{}

func (gaveUp) Send(_ context.Context, events []*transform.Event) (load.Delivery, error) {
	return load.Delivery{Outcomes: make([]load.Outcome, len(events))}, io.ErrUnexpectedEOF
}

// TestMemoryOfAFailedChunkIsNotUsedAgain: something may still be sending it.
func TestMemoryOfAFailedChunkIsNotUsedAgain(t *testing.T) {
	job := testJob(t, openTestSQLite(t), "job")
	_, lease := acquire(t, job)
	p := newPipeline(gaveUp{}, lease, "run", Checkpoint{Pass: 1, Tally: newCounts()}, 1)
	c := testChunk(0, true)
	c.arenas = []*transform.Arena{p.arena()}
	if err := p.submit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(t.Context()); err == nil || len(p.arenas) > 0 {
		t.Errorf("%d arenas are free, error %v", len(p.arenas), err)
	}
}
