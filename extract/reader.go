package extract

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"
)

// Reader yields the transcripts of a Parquet source in the order of their
// positions. It is for one goroutine; Progress may be called by any.
type Reader struct {
	source *Parquet
	pass   *ParquetPass
	after  *point           // rows at or before it are left out
	only   func(point) bool // others are left out; nil: none
	used   *atomic.Int64
	spill  *spillFile
	strays strays
	read   atomic.Int64

	touched  *touched        // nil: all conversations are looked at
	rejected map[uint64]bool // conversations of which something was rejected, by hash
	missing  Time            // files that have nothing newer were left out; 0: none was

	grouped bool
	pending []pendingPartition // the next one last
	ahead   chan advanced      // nil: nothing is being loaded
	current *loaded
	next    int // the first entry of current not yet yielded
	spare   spareMessages
}

type pendingPartition struct {
	store *store
	part  *partition
}

// The size of a page, which ends with the conversation that reaches one of these. It
// is small, for a page to be rebuilt while it is in the processor's cache.
const (
	pageConversations = 1000
	pageMessages      = 2500
)

// readers is how many goroutines read. More than a few only take memory from
// each other.
func readers() int { return min(runtime.GOMAXPROCS(0), 4) }

// Progress is the number of rows of messages read so far.
func (r *Reader) Progress() int64 { return r.read.Load() }

// Close removes temporary files. It must not be called during Next.
func (r *Reader) Close() error {
	if r.ahead != nil {
		<-r.ahead
		r.ahead = nil
	}
	r.pending, r.current = nil, nil
	r.grouped = true
	return r.spill.close()
}

// Next returns the next page, and io.EOF after the last one. The first call
// reads all files. After any other error than that of ctx the reader is of no
// further use, nor is it if the first call failed.
func (r *Reader) Next(ctx context.Context) (Page, error) {
	if !r.grouped {
		if err := r.group(ctx); err != nil {
			return Page{}, err
		}
		r.grouped = true
		r.lookAhead()
	}
	for {
		for r.current != nil { // a page may have conversations without anything to rebuild only
			if page := r.page(); len(page.Transcripts) > 0 {
				return page, nil
			}
		}
		if r.ahead == nil {
			return Page{}, io.EOF
		}
		select {
		case <-ctx.Done():
			return Page{}, ctx.Err()
		case a := <-r.ahead:
			r.ahead = nil
			if a.err != nil {
				return Page{}, a.err
			}
			r.current, r.next = a.loaded, 0
			r.lookAhead()
			if len(a.refused) > 0 {
				return Page{Transcripts: a.refused}, nil
			}
		}
	}
}

// advanced is what became of the next partition: it was loaded, or it was a
// single conversation that is too large.
type advanced struct {
	loaded  *loaded
	refused []Transcript
	err     error
}

// lookAhead loads the next partition while the current one is used. Until it
// is received, the goroutine alone touches what is pending.
func (r *Reader) lookAhead() {
	if len(r.pending) == 0 {
		return
	}
	ahead := make(chan advanced, 1)
	r.ahead = ahead
	go func() {
		var a advanced
		if err := Contain(func() error { a = r.advance(); return nil }); err != nil {
			a = advanced{err: err}
		}
		if len(r.pending) == 0 {
			_ = r.spill.close() // what cannot be removed Close tries again
		}
		ahead <- a
	}()
}

// writeStrays puts the rejects that belong to no conversation into the store.
func (r *Reader) writeStrays(s *store) error {
	w := s.writer()
	var e encoder
	rejects := r.strays.rejects(r.source.originName)
	for i := range rejects {
		record, err := e.reject(point{}, &rejects[i])
		if err != nil {
			return err
		}
		if err := w.append(record); err != nil {
			return err
		}
	}
	r.strays = strays{}
	return w.close()
}

// push makes a store's partitions the next ones.
func (r *Reader) push(s *store) {
	for i := range slices.Backward(s.parts) {
		if s.parts[i].rows > 0 {
			r.pending = append(r.pending, pendingPartition{s, &s.parts[i]})
		}
	}
}

// advance takes the next partition, which is split until it fits into memory.
func (r *Reader) advance() (a advanced) {
	for {
		last := len(r.pending) - 1
		s, part := r.pending[last].store, r.pending[last].part
		r.pending = r.pending[:last]
		switch {
		case s.tooLarge(part):
			sub, err := s.split(part)
			if err != nil {
				return advanced{err: err}
			}
			r.push(sub)
		case r.oversize(part):
			a.refused, a.err = r.refuse(s, part)
			return a
		default:
			a.loaded, a.err = s.load(part)
			return a
		}
	}
}

// oversize reports whether a partition is a single conversation that does not
// fit into memory. Rows of no conversation are small.
func (r *Reader) oversize(p *partition) bool {
	return p.min == p.max && p.max != 0 && p.size+p.rows*int64(unsafe.Sizeof(Message{})) > r.source.single
}

// refuse rejects a conversation that is too large: one reject stands for its
// messages. Should ids of several conversations have one hash, they share the
// fate.
func (r *Reader) refuse(s *store, p *partition) ([]Transcript, error) {
	detail := fmt.Sprintf("the conversation's %d rows take %d bytes: more than an eighth of source.parquet.memory: raise it, then chatbackfill rejects retry", p.rows, p.size)
	var all []Transcript
	err := s.drain(p, func(block []byte) error {
		for ; len(block) > 0; block = block[recordSize(block):] {
			d, id := decodeRecord(block)
			i := slices.IndexFunc(all, func(t Transcript) bool { return t.ConversationID == id })
			if i < 0 {
				i = len(all)
				all = append(all, Transcript{ConversationID: strings.Clone(id)})
			}
			r.refuseRow(&all[i], recordKind(block), &d, detail)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Transcript) int { return strings.Compare(a.ConversationID, b.ConversationID) })
	for i := range all {
		finish(&all[i])
	}
	return all, err
}

func (r *Reader) refuseRow(t *Transcript, kind byte, d *decoder, detail string) {
	switch kind {
	case recordMessage:
		var m Message
		d.message(t.ConversationID, &m)
		if len(t.Rejects) == 0 || t.Rejects[0].Reason != TooMuch {
			t.Rejects = slices.Insert(t.Rejects, 0, Reject{
				Stage: StageRead, Reason: TooMuch, Set: SetMessages, ConversationID: t.ConversationID, Detail: detail,
				Locator: locateConversation(r.source.originName(m.Origin), t.ConversationID),
			})
		}
		t.Rejects[0].Rows++
	case recordReject:
		reject := d.reject(t.ConversationID)
		for _, s := range rejectStrings(&reject) {
			*s = strings.Clone(*s)
		}
		t.Rejects = append(t.Rejects, reject)
	case recordFiltered:
		t.Filtered += int(d.uint())
	}
}

// originName is the file that rows of an origin are from.
func (p *Parquet) originName(origin uint32) string {
	for _, files := range [...][]*parquetFile{p.messages, p.others} {
		for _, f := range files {
			if f.origin == origin {
				return f.name
			}
		}
	}
	return ""
}

// page takes the next conversations of the current partition.
func (r *Reader) page() (page Page) {
	end, conversations := r.pageEnd()
	messages := r.spare.room(end - r.next)
	page.Transcripts = make([]Transcript, 0, conversations)
	for r.next < end {
		t := Transcript{}
		messages = r.transcript(&t, messages)
		r.judge(&t)
		finish(&t)
		if len(t.Messages)+len(t.Rejects)+t.Filtered > 0 {
			page.Transcripts = append(page.Transcripts, t)
		}
	}
	if r.next == len(r.current.entries) {
		r.current = nil
	}
	page.release = func() { r.spare.keep(messages) }
	return page
}

// pageEnd is the entry at which the next page ends, between conversations, and how
// many they are, unless hashes are equal.
func (r *Reader) pageEnd() (end, conversations int) {
	end = r.next
	for conversations < pageConversations && end < len(r.current.entries) && end-r.next < r.source.pageRows {
		end += len(r.current.run(end))
		conversations++
	}
	return end, conversations
}

// transcript decodes the next conversation; its messages are put at the end of
// a page's.
func (r *Reader) transcript(t *Transcript, messages []Message) []Message {
	l := r.current
	run := l.run(r.next)
	t.ConversationID = recordID(l.record(run[0]))
	out, pure := l.decode(run, t, messages)
	if !pure {
		run = l.untangle(run)
		*t = Transcript{ConversationID: recordID(l.record(run[0]))}
		out, _ = l.decode(run, t, messages)
	}
	r.next += len(run)
	if len(out) > len(messages) {
		t.Messages = out[len(messages):len(out):len(out)]
	}
	return out
}

// decode adds the records of a run to t and to messages. It stops and returns
// false at one of another conversation.
func (l *loaded) decode(run []entry, t *Transcript, messages []Message) (_ []Message, pure bool) {
	for _, e := range run {
		record := l.record(e)
		d, id := decodeRecord(record)
		if id != t.ConversationID {
			return messages, false
		}
		switch recordKind(record) {
		case recordMessage:
			messages = append(messages, Message{})
			d.message(t.ConversationID, &messages[len(messages)-1])
		case recordConversation:
			t.Conversations = append(t.Conversations, d.conversation(t.ConversationID))
		case recordReject:
			t.Rejects = append(t.Rejects, d.reject(t.ConversationID))
		case recordFiltered:
			t.Filtered += int(d.uint())
		}
	}
	return messages, true
}

func compareConversations(a, b Conversation) int {
	for _, times := range [...][2]Time{{a.ChangedAt, b.ChangedAt}, {a.EndedAt, b.EndedAt}} {
		if times[0] != times[1] {
			if times[0] < times[1] {
				return -1
			}
			return +1
		}
	}
	as, bs := conversationStrings(&a), conversationStrings(&b)
	for i := range as {
		if c := strings.Compare(*as[i], *bs[i]); c != 0 {
			return c
		}
	}
	return 0
}
