package extract

import (
	"context"
	"errors"
	"slices"
)

// pagesAtOnce is how many pages are read at once, each over a connection of its
// own: while rows of one are taken in, the server works on the next.
const pagesAtOnce = 2

// errPageMoved stops a page whose conversations are others when it is read
// again: the next one may have begun at its old end.
var errPageMoved = errors.New("the page has other conversations than before")

// pgRead is the reading of a page, which goes on by itself.
type pgRead struct {
	pass   *PostgresPass
	spare  spareMessages
	room   int // messages that the page may have
	cancel context.CancelFunc

	index bool    // the ids are listed from an index
	after *string // they follow this one, if there is one
	limit int     // and are at most so many

	listed chan struct{} // closed when the ids are known, or never will be
	known  bool
	ids    []string

	ended chan struct{} // closed when the page was read, or could not be
	page  *pgPage       // what was read
	out   Page          // its transcripts
	err   error
}

// start reads the next conversations that are in no page yet.
func (r *PostgresReader) start(ctx context.Context) *pgRead {
	read := &pgRead{
		pass: r.pass, spare: r.spare, room: r.room,
		index: r.list == nil && !r.listed, after: r.after, limit: r.size,
		listed: make(chan struct{}), ended: make(chan struct{}),
	}
	if !read.index {
		n := min(len(r.pending), r.size)
		read.know(r.pending[:n])
		r.pending = r.pending[n:]
	}
	// What the next calls of Next wait for goes on between them.
	ctx, read.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go read.run(ctx)
	return read
}

// run reads the page whole.
func (read *pgRead) run(ctx context.Context) {
	defer close(read.ended)
	defer read.cancel()
	read.err = Contain(func() error {
		err := read.pass.retry(ctx, "a page of conversations", func() error {
			return read.pass.inPage(ctx, func(tx *pgTransaction) error { return read.attempt(ctx, tx) })
		})
		if err != nil {
			return err
		}
		messages := read.page.messages
		read.out = read.page.finish()
		read.out.release = func() { read.spare.keep(messages) }
		return nil
	})
	if !read.known {
		close(read.listed)
	}
}

// attempt reads the page in one transaction.
func (read *pgRead) attempt(ctx context.Context, tx *pgTransaction) error {
	err := read.fill(ctx, tx)
	if isTimeout(err) && ctx.Err() == nil && read.tried() > 1 {
		read.pass.log.Warn("reading from Postgres is tried again with a smaller page", "conversations", read.tried(), "error", read.pass.fault(err))
		return errPageTooSlow
	}
	return err
}

// tried is the number of the page's conversations.
func (read *pgRead) tried() int {
	if read.known {
		return len(read.ids)
	}
	return read.limit
}

func (read *pgRead) fill(ctx context.Context, tx *pgTransaction) error {
	var span *pgSpan
	if read.index {
		ids, err := read.pass.nextIDs(ctx, tx, read.after, read.limit)
		if err != nil {
			return err
		}
		if !read.know(ids) {
			return errPageMoved
		}
		if len(ids) > 0 {
			span = &pgSpan{read.after, ids[len(ids)-1]}
		}
	}
	page := read.pass.newPage(read.ids, span, read.spare.room(read.room))
	read.page = page
	return page.fill(ctx, tx)
}

// know tells which conversations the page has; false if they were others before.
func (read *pgRead) know(ids []string) bool {
	if read.known {
		return slices.Equal(ids, read.ids)
	}
	read.ids, read.known = ids, true
	close(read.listed)
	return true
}
