package extract

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
)

// group reads the files into partitions.
func (r *Reader) group(ctx context.Context) error {
	p := r.source
	size := p.estimate()
	bits := p.partitionBits(size)
	r.spill.plain = inCache(p.cfg.Memory, size)
	store := newStore(limitsFor(p.cfg.Memory, p.workers, bits), 0, bits, r.used, r.spill)
	first := step{files: r.pass.changed(), measures: r.only == nil && (r.after == nil || p.cfg.Lookback > 0), stores: true}
	if !r.pass.everything() {
		r.expect()
		first.touches = true
		if r.pass.selects() {
			first.measures, first.stores = false, false
		}
	}
	if err := r.take(ctx, first, store); err != nil {
		return err
	}
	if err := r.take(ctx, r.rest(first), store); err != nil {
		return err
	}
	if err := r.writeStrays(store); err != nil {
		return err
	}
	r.push(store)
	return nil
}

// step is a part of the files, and what their rows are read for.
type step struct {
	files    []*parquetFile
	stores   bool // they are put into the store
	touches  bool // they say which conversations are looked at
	measures bool // they say from when to when the files reach
	chosen   bool // only those of conversations that are looked at count
}

// expect prepares for finding the conversations that are looked at. Some are
// known before.
func (r *Reader) expect() {
	r.touched = newTouched(r.source.cfg.Memory)
	r.rejected = make(map[uint64]bool, len(r.pass.Rejected))
	for _, id := range r.pass.Rejected {
		if id != "" {
			r.rejected[pointOf(id).hash] = true
		}
	}
	at := r.pass.DueSince
	if at == 0 {
		at = noTime
	}
	due := make(map[uint64]Time, len(r.pass.Due))
	for _, id := range r.pass.Due {
		due[pointOf(id).hash] = at
	}
	r.touched.add(due)
}

// rest reads what completes the conversations that are looked at.
func (r *Reader) rest(first step) step {
	switch {
	case r.touched == nil, len(r.touched.oldest) == 0:
		return step{}
	case r.touched.all:
		r.touched = nil
	}
	s := step{stores: true, chosen: r.touched != nil}
	for _, f := range slices.Concat(r.source.messages, r.source.others) {
		if !first.stores || !slices.Contains(first.files, f) {
			s.files = append(s.files, f)
		}
	}
	if s.chosen {
		s.files = r.dropOlder(s.files)
	}
	return s
}

// take reads the files of a step.
func (r *Reader) take(ctx context.Context, s step, to *store) error {
	if len(s.files) == 0 {
		return nil
	}
	p := r.source
	if err := p.ready(ctx, s.files); err != nil {
		return err
	}
	units := make(chan unit)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(units)
		return sendUnits(ctx, units, s.files)
	})
	for range p.workers {
		w := &worker{Reader: r, step: s, writer: to.writer(), maxPage: p.maxPage, keepPayload: p.cfg.KeepPayload, found: map[uint64]Time{}}
		g.Go(func() error { return Contain(func() error { return w.run(ctx, units) }) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, f := range s.files {
		if err := f.unchanged(); err != nil {
			return err
		}
	}
	return nil
}

// unit is what a worker reads at once: a row group of a file.
type unit struct {
	file  *parquetFile
	group int
}

func sendUnits(ctx context.Context, units chan<- unit, files []*parquetFile) error {
	for _, f := range files {
		for group := range f.groups {
			select {
			case units <- unit{f, group}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}
