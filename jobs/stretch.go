package jobs

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/chatbackfill/chatbackfill/extract"
)

// maxRebuilders is how many stretches are rebuilt at once: more would wait for what
// reads pages, and for what takes chunks.
const maxRebuilders = 2

// memoryForMore is the memory, in bytes, that reading has to have for more than one
// stretch to be rebuilt at once: whoever gives it less has little.
const memoryForMore = 128 << 20

// rebuilderCount is how many rebuilders a pass has.
func rebuilderCount() int {
	if extract.MemoryAllowed() < memoryForMore {
		return 1
	}
	return min(maxRebuilders, runtime.GOMAXPROCS(0))
}

// atOnce is how many stretches are rebuilt at once. What counts conversations, or
// looks at each, does so in their order, and a database on the same machine needs a
// processor itself.
func (p *pass) atOnce() int {
	if p.Limit > 0 || p.examine != nil || isDatabase(p.Source) {
		return 1
	}
	return len(p.rebuilders)
}

// stretch is some consecutive transcripts of a page.
type stretch struct {
	transcripts []extract.Transcript
	page        *opened
	err         error // instead of transcripts
}

// opened is a page of which stretches are being rebuilt.
type opened struct {
	extract.Page
	left atomic.Int64 // transcripts not yet rebuilt
}

// stretches cuts pages into stretches that have about as many events as a chunk.
// Next returns false after the last one.
type stretches struct {
	pages <-chan pageRead
	page  *opened
	rest  []extract.Transcript // of the page
	most  int                  // events
}

func (s *stretches) next() (stretch, bool) {
	for len(s.rest) == 0 {
		read, ok := <-s.pages
		if !ok || read.err != nil {
			return stretch{err: read.err}, ok
		}
		s.page, s.rest = &opened{Page: read.Page}, read.Transcripts
		s.page.left.Store(int64(len(s.rest)))
	}
	n, events := 0, 0
	for n < len(s.rest) && (n == 0 || events < s.most) {
		events += eventsOf(s.rest[n : n+1])
		n++
	}
	some := stretch{transcripts: s.rest[:n], page: s.page}
	s.rest = s.rest[n:]
	return some, true
}

// eventsOf is about how many events transcripts become.
func eventsOf(transcripts []extract.Transcript) (n int) {
	for i := range transcripts {
		n += len(transcripts[i].Messages) + 2 // a start and an end
	}
	return n
}

// done gives the memory of the page's messages back once no other stretch needs it.
func (s *stretch) done() {
	if s.page.left.Add(-int64(len(s.transcripts))) == 0 {
		s.page.Release()
	}
}

// rebuildAhead rebuilds pages, as many stretches at once as there are rebuilders,
// and returns what they become in their order. The channel is closed after the last
// page, after one that could not be read, and when ctx ends. Whoever receives from
// it receives everything, and from each channel once.
func rebuildAhead(ctx context.Context, pages <-chan pageRead, rebuilders []*rebuilder) <-chan (<-chan rebuilt) {
	idle := make(chan *rebuilder, len(rebuilders))
	for _, b := range rebuilders {
		idle <- b
	}
	cut := stretches{pages: pages, most: rebuilders[0].ChunkEvents * 9 / 10}
	// Whoever is done before the one before it goes on.
	inOrder := make(chan (<-chan rebuilt), len(rebuilders)-1)
	go func() {
		defer close(inOrder)
		for {
			b := <-idle
			some, ok := cut.next()
			if !ok {
				return
			}
			done := make(chan rebuilt, 1)
			go func() {
				r := b.stretch(ctx, some)
				idle <- b
				done <- r
			}()
			inOrder <- done
		}
	}()
	return inOrder
}

// stretch rebuilds a stretch, and makes an error of a panic.
func (b *rebuilder) stretch(ctx context.Context, s stretch) rebuilt {
	if s.err != nil {
		return rebuilt{err: s.err}
	}
	defer s.done()
	r, err := contained(func() (rebuilt, error) { return b.rebuild(ctx, s.transcripts) })
	r.err = err
	return r
}
