package extract

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A pass over Parquet looks at the conversations that stand in new and changed
// files, and at those that are due. Their other rows may be anywhere, so it reads
// in two steps: first the files that say which conversations are looked at, then,
// of these conversations only, all others.

// ParquetPass is a pass over a Parquet source.
type ParquetPass struct {
	Pass
	*Parquet
	known map[FileKey]*File

	mu    sync.Mutex
	spans map[uint32]span // of the files that were read whole, by origin
}

// Pass returns the source as it is read in a pass.
func (p *Parquet) Pass(pass Pass) *ParquetPass {
	return &ParquetPass{Pass: pass, Parquet: p, known: byKey(pass.Known), spans: map[uint32]span{}}
}

// Transcripts returns a reader of the transcripts after a position; the empty
// one is the start. The reader has to be closed.
func (p *ParquetPass) Transcripts(ctx context.Context, from Position) (*Reader, error) {
	r := &Reader{source: p.Parquet, pass: p, used: &atomic.Int64{}, spill: &spillFile{parent: p.cfg.Tmp}, spare: newSpareMessages()}
	if from != "" {
		after, err := parsePosition(from)
		if err != nil {
			return nil, err
		}
		r.after = &after
	}
	removeStale(p.cfg.Tmp, time.Now())
	return r, ctx.Err()
}

// Files are the source's files, with what is known of their rows once the pass
// has been read.
func (p *ParquetPass) Files() []File {
	files := p.Parquet.Files()
	for i, f := range slices.Concat(p.messages, p.others) {
		if s, ok := p.spans[f.origin]; ok {
			files[i].Oldest, files[i].Newest = s.times()
		} else if old := p.unchanged(f); old != nil {
			files[i].Oldest, files[i].Newest = old.Oldest, old.Newest
		}
	}
	return files
}

// unchanged is what is known of a file that is still as it was; else nil.
func (p *ParquetPass) unchanged(f *parquetFile) *File {
	now := f.identity()
	if old := p.known[now.Key()]; old != nil && old.Is(&now) {
		return old
	}
	return nil
}

// everything reports whether all conversations are looked at. A lookup may
// change any row.
func (p *ParquetPass) everything() bool {
	switch {
	case p.Full:
		return true
	case p.selects() || p.Lower == p.Upper && p.Lower != 0:
		return false
	}
	return len(p.Known) == 0 || slices.ContainsFunc(p.lookups, func(f *parquetFile) bool { return p.unchanged(f) == nil })
}

// changed are the files that say which conversations are looked at.
func (p *ParquetPass) changed() (files []*parquetFile) {
	all := slices.Concat(p.messages, p.others)
	switch {
	case p.everything() || p.selects():
		return all
	case p.Lower == p.Upper && p.Lower != 0:
		return nil
	}
	return slices.DeleteFunc(all, func(f *parquetFile) bool { return p.unchanged(f) != nil })
}

// span is when the messages of a file were sent.
type span struct {
	oldest, newest Time
	unread         bool // a row could not be read
}

func (s *span) add(at Time) {
	if s.oldest == 0 || at < s.oldest {
		s.oldest = at
	}
	s.newest = max(s.newest, at)
}

func (s *span) merge(o span) {
	s.unread = s.unread || o.unread
	if o.oldest != 0 {
		s.add(o.oldest)
		s.add(o.newest)
	}
}

func (s *span) times() (oldest, newest Time) {
	if s.unread {
		return 0, 0
	}
	return s.oldest, s.newest
}

// since is the time from which on the rows of the conversations that are looked
// at have to be read, if none of these lasts longer than lookback; 0: all.
func (r *Reader) since() Time {
	p := r.pass
	first, ok := r.touched.since()
	if p.cfg.Lookback <= 0 || !ok {
		return 0
	}
	for hash := range r.rejected {
		if _, ok := r.touched.oldest[hash]; ok {
			return 0
		}
	}
	return first.Add(-p.cfg.Lookback)
}

// dropOlder leaves out the files of messages that are older than what has to be
// read.
func (r *Reader) dropOlder(files []*parquetFile) []*parquetFile {
	since := r.since()
	if since == 0 {
		return files
	}
	return slices.DeleteFunc(files, func(f *parquetFile) bool {
		known := r.pass.unchanged(f)
		older := f.set == SetMessages && known != nil && known.Newest != 0 && known.Newest < since
		if older {
			r.missing = since
		}
		return older
	})
}

// judge rejects a transcript that lasts longer than lookback if rows of it may
// not have been read.
func (r *Reader) judge(t *Transcript) {
	if r.missing == 0 {
		return
	}
	t.Since = r.missing
	var s span
	for i := range t.Messages {
		if at := t.Messages[i].SentAt; at != 0 {
			s.add(at)
		}
	}
	if lookback := r.source.cfg.Lookback; s.newest.Sub(s.oldest) > lookback {
		t.Refuse(Incomplete, fmt.Sprintf("it lasts longer than source.parquet.lookback, %s, and files that end before %s were not read", lookback, r.missing))
	}
}
