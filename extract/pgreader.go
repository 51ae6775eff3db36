package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// PostgresReader yields the transcripts of a pass in the order of their
// positions. It is for one goroutine; Progress may be called by any.
type PostgresReader struct {
	pass   *PostgresPass
	strays bool      // the rows of no conversation are still to be read
	list   *pgIDList // nil: the next ids are asked for page by page
	after  *string   // the last id that was listed
	listed bool      // there are no further ids than those of pending

	pending []string  // ids of the list that are in no page yet
	pages   []*pgRead // that are read, in their order
	size    int       // conversations of the next page
	steady  int       // so many pages stay at most as large
	moving  time.Time // since when no page was read because its conversations are ever others; zero: they are not
	room    int       // messages of the page before, as many as the next one may have
	spare   spareMessages
	read    atomic.Int64
}

// Transcripts returns a reader of the transcripts after a position; the empty
// one is the start. A position in another order is a [PositionError]. The
// reader has to be closed.
func (p *PostgresPass) Transcripts(ctx context.Context, from Position) (*PostgresReader, error) {
	r := &PostgresReader{pass: p, strays: from == "" && p.Shard.Has(""), size: p.cfg.Page, spare: newSpareMessages()}
	if from != "" {
		id, err := p.parse(from)
		if err != nil {
			return nil, err
		}
		if id != "" {
			r.after = &id
		}
	}
	if p.family == "" {
		removeStale(p.cfg.Tmp, time.Now())
		r.list = &pgIDList{spill: &spillFile{parent: p.cfg.Tmp}}
	}
	return r, ctx.Err()
}

// Progress is the number of rows of messages read so far.
func (r *PostgresReader) Progress() int64 { return r.read.Load() }

// Close ends what is still read, and removes temporary files. It must not be
// called during Next.
func (r *PostgresReader) Close() error {
	r.drop()
	r.pending, r.listed, r.strays = nil, true, false
	if r.list == nil {
		return nil
	}
	return r.list.close()
}

// Next returns the next page, and io.EOF after the last one. What fails for a
// while is tried again for some minutes; then the error is a
// [SourceUnavailable]. After an error Next may be called again.
func (r *PostgresReader) Next(ctx context.Context) (Page, error) {
	if r.strays {
		page, err := r.strayPage(ctx)
		if err != nil {
			return Page{}, fmt.Errorf("read the rows of no conversation: %w", err)
		}
		if r.strays = false; len(page.Transcripts) > 0 {
			return page, nil
		}
	}
	for {
		if err := r.ahead(ctx); err != nil {
			return Page{}, fmt.Errorf("list the conversations: %w", err)
		}
		if len(r.pages) == 0 {
			return Page{}, io.EOF
		}
		page, err := r.first(ctx)
		if err != nil {
			return Page{}, fmt.Errorf("read a page of conversations: %w", err)
		}
		if len(page.Transcripts) > 0 {
			return page, nil
		}
	}
}

// ahead starts to read the next pages, until there are enough.
func (r *PostgresReader) ahead(ctx context.Context) error {
	for len(r.pages) < pagesAtOnce {
		if n := len(r.pages); n > 0 && !r.follow(ctx, r.pages[n-1]) {
			break
		}
		if err := r.upcoming(ctx); err != nil {
			return err
		}
		if r.listed && len(r.pending) == 0 {
			break
		}
		r.pages = append(r.pages, r.start(ctx))
	}
	return ctx.Err()
}

// follow waits until it is known which ids the page that was started last has,
// so that the next one can follow it; false if that cannot be known.
func (r *PostgresReader) follow(ctx context.Context, last *pgRead) bool {
	select {
	case <-last.listed:
	case <-ctx.Done():
		return false
	}
	if n := len(last.ids); last.known && last.index {
		if r.listed = n < last.limit; n > 0 {
			r.after = &last.ids[n-1]
		}
	}
	return last.known
}

// steadyPages is how many pages are read before they grow again, once one took
// too long: to find out that the next one does costs as much as it may take.
const steadyPages = 16

// first waits for the first page that is read. If it has to be read anew there
// is nothing in it.
func (r *PostgresReader) first(ctx context.Context) (Page, error) {
	read := r.pages[0]
	select {
	case <-read.ended:
	case <-ctx.Done():
		return Page{}, context.Cause(ctx)
	}
	if read.err != nil {
		r.rewind()
		return Page{}, r.anew(read)
	}
	r.pages, r.moving = r.pages[1:], time.Time{}
	r.room = len(read.page.messages)
	r.read.Add(read.page.read)
	switch {
	case r.steady > 0:
		r.steady--
	case read.page.bytes < r.pass.cfg.PageBytes/2:
		r.size = min(2*r.size, r.pass.cfg.Page)
	}
	return read.out, nil
}

// anew returns an error if a page that could not be read is not to be read anew.
func (r *PostgresReader) anew(read *pgRead) error {
	switch {
	case errors.Is(read.err, errPageTooLarge):
		r.size = max(1, read.tried()/2)
		if errors.Is(read.err, errPageTooSlow) {
			r.steady = steadyPages
		}
		return nil
	case !errors.Is(read.err, errPageMoved):
		return read.err
	case r.moving.IsZero():
		r.moving = time.Now()
	case time.Since(r.moving) > r.pass.policy.budget:
		r.moving = time.Time{}
		return &SourceUnavailable{Err: read.err}
	}
	return nil
}

// rewind takes back all pages that are read.
func (r *PostgresReader) rewind() {
	if first := r.pages[0]; first.index {
		r.after, r.listed = first.after, false
	}
	for _, read := range slices.Backward(r.pages) {
		if !read.index {
			r.pending = slices.Concat(read.ids, r.pending)
		}
	}
	r.drop()
}

// drop ends what is read.
func (r *PostgresReader) drop() {
	for _, read := range r.pages {
		read.cancel()
	}
	for _, read := range r.pages {
		<-read.ended
	}
	r.pages = nil
}

// upcoming takes the ids of the next page from the list, which it makes first.
func (r *PostgresReader) upcoming(ctx context.Context) error {
	if r.list == nil {
		return ctx.Err()
	}
	if !r.list.made {
		p := r.pass
		err := p.retry(ctx, "the list of conversations", func() error {
			return p.inTransaction(ctx, listTimeout, func(tx *pgTransaction) error { return r.list.make(ctx, tx, p, r.after) })
		})
		if r.list.made = err == nil; !r.list.made {
			return err
		}
	}
	for len(r.pending) < r.size && !r.listed {
		ids, err := r.list.next()
		r.pending = append(r.pending, ids...)
		if r.listed = err == io.EOF; err != nil && err != io.EOF {
			return err
		}
	}
	return ctx.Err()
}

// inPage calls f with a transaction for a page. A span of ids is always looked
// up in the index: by statistics that are old, or know little of the order of
// ids, Postgres may take it for a large part of the table.
func (p *PostgresPass) inPage(ctx context.Context, f func(tx *pgTransaction) error) error {
	settings := ""
	if p.family != "" {
		settings = "; SET LOCAL enable_seqscan = off"
	}
	return p.inTransactionWith(ctx, pageTimeout, settings, f)
}

// nextIDs lists n ids after one, if there is one, by an index.
func (p *PostgresPass) nextIDs(ctx context.Context, tx *pgTransaction, after *string, n int) (ids []string, err error) {
	s, err := keysetIDs(p.relations(), after, n)
	if err != nil {
		return nil, err
	}
	err = tx.rows(ctx, s, nil, anyFields, func(values [][]byte) error {
		id := p.messages[0].prefix + string(values[0])
		ids = append(ids, id)
		return nil
	})
	if isSchema(err) {
		err = &SchemaChanged{Set: "conversation_id", Err: err}
	}
	return ids, err
}

// strayPage reads the rows that belong to no conversation.
func (r *PostgresReader) strayPage(ctx context.Context) (out Page, err error) {
	p := r.pass
	err = p.retry(ctx, "the rows of no conversation", func() error {
		return p.inTransaction(ctx, listTimeout, func(tx *pgTransaction) error {
			page := p.newPage(nil, nil, nil)
			for _, relation := range p.relations() {
				if err := page.strays(ctx, tx, relation); err != nil {
					return err
				}
			}
			r.read.Store(page.read)
			out = page.finish()
			return nil
		})
	})
	return out, err
}

// strays reads a relation's rows of no conversation: so many, the rest is only
// counted.
func (page *pgPage) strays(ctx context.Context, tx *pgTransaction, r *pgRelation) error {
	most := page.pass.maxStray
	if n, err := page.rows(ctx, tx, r, r.strayRows(page.pass, most)); err != nil || n < most {
		return err
	}
	text, err := tx.oneText(ctx, r.countStrays(page.pass))
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(text)
	if err == nil && n > most {
		page.transcripts[0].Rejects = append(page.transcripts[0].Rejects, Reject{
			Stage: StageRead, Reason: BadID, Set: r.kind, Locator: r.name + ": further rows", Rows: n - most,
			Detail: fmt.Sprintf("conversation_id is missing in %d rows; %d of them are listed, this stands for the rest", n, most),
		})
		if r.kind == SetMessages {
			page.read += int64(n - most)
		}
	}
	return err
}
