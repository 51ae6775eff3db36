package extract

import (
	"context"
	"errors"
	"strings"
)

// worker reads row groups and puts their rows, mapped, into the store.
type worker struct {
	*Reader
	step
	writer      *storeWriter
	maxPage     int64
	keepPayload bool

	open         *openFile
	group        int
	number       int64 // of the row within the file
	each         elementFunc
	span         span            // of what was read of the open file
	found        map[uint64]Time // see touch
	filtered     map[string]int  // rows that where left out, by conversation
	encoder      encoder
	scratch      Scratch
	message      Message
	conversation Conversation
}

func (w *worker) run(ctx context.Context, units <-chan unit) (err error) {
	defer func() { err = errors.Join(err, w.closeFile()) }()
	w.each = w.element
	for u := range units {
		if err := w.unit(ctx, u); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.touches {
		w.handOver()
	}
	if err := w.writeFiltered(); err != nil {
		return err
	}
	return w.writer.close()
}

func (w *worker) unit(ctx context.Context, u unit) error {
	if w.open == nil || w.open.parquetFile != u.file {
		if err := w.closeFile(); err != nil {
			return err
		}
		open, err := u.file.openReader(ctx, w.maxPage)
		if err != nil {
			return err
		}
		w.open = open
	}
	w.group = u.group
	if skip, err := w.skips(ctx); skip || err != nil {
		return err
	}
	return w.open.readGroup(ctx, u.group, w.row, func(rows int64) {
		if u.file.set == SetMessages {
			w.read.Add(rows)
		}
	})
}

// closeFile ends reading the open file, of which other workers may have read
// other parts.
func (w *worker) closeFile() error {
	if w.open == nil {
		return nil
	}
	if w.measures && w.open.set == SetMessages {
		w.pass.mu.Lock()
		defer w.pass.mu.Unlock()
		w.span.merge(w.pass.spans[w.open.origin])
		w.pass.spans[w.open.origin] = w.span
		w.span = span{}
	}
	err := w.open.file.Close()
	w.open = nil
	return err
}

func (w *worker) row(row []Value, number int64) error {
	w.scratch.Reset()
	w.number = number
	return w.open.mapping.unfold(row, &w.scratch, w.each)
}

// element takes a row of the set.
func (w *worker) element(row []Value, element int, unreadable *problem) error {
	m := w.open.mapping
	id, bad := m.conversationID(row, &w.scratch)
	p := pointOf(id)
	if !w.counts(p) {
		return nil
	}
	keep, unknown := true, unreadable
	if unreadable == nil {
		keep, unknown = m.keeps(row, &w.scratch)
	}
	switch {
	case unknown != nil:
		return w.reject(m.reject(unknown, id, ""), p, row, element)
	case !keep:
		return w.filter(p, 1)
	case w.open.set == SetMessages:
		return w.addMessage(row, element, p, bad)
	}
	return w.addConversation(row, element, p, bad)
}

func (w *worker) addMessage(row []Value, element int, p point, bad *problem) error {
	if r := w.open.mapping.message(row, &w.scratch, p.id, bad, &w.message); r != nil {
		return w.reject(r, p, row, element)
	}
	if w.see(p, w.message.SentAt); !w.takes(p) {
		return nil
	}
	w.message.Origin = w.open.origin
	record, err := w.encoder.message(p, &w.message)
	if err != nil {
		return err
	}
	return w.writer.append(record)
}

func (w *worker) addConversation(row []Value, element int, p point, bad *problem) error {
	if r := w.open.mapping.conversation(row, &w.scratch, p.id, bad, &w.conversation); r != nil {
		return w.reject(r, p, row, element)
	}
	if w.see(p, w.conversation.EndedAt); !w.takes(p) {
		return nil
	}
	record, err := w.encoder.conversation(p, &w.conversation)
	if err != nil {
		return err
	}
	return w.writer.append(record)
}

// counts reports whether a conversation's rows are looked at in this step.
func (w *worker) counts(p point) bool {
	return (w.measures || !w.passed(p)) && (!w.chosen || w.touched.has(p)) && w.pass.Shard.Has(p.id)
}

// passed reports whether a conversation lies before where reading goes on, or
// is not asked for.
func (w *worker) passed(p point) bool {
	return w.after != nil && p.compare(*w.after) <= 0 || w.only != nil && !w.only(p)
}

// takes reports whether a conversation's rows go into the store.
func (w *worker) takes(p point) bool { return w.stores && !w.passed(p) }

// see notes what a row says of its file and of its conversation. The time may be
// missing.
func (w *worker) see(p point, at Time) {
	if w.measures && at != 0 {
		w.span.add(at)
	}
	switch {
	case !w.touches, w.pass.selects() && !w.pass.covers(at):
	case at == 0:
		w.touch(p, noTime)
	default:
		w.touch(p, at)
	}
}

func (w *worker) reject(r *Reject, p point, row []Value, element int) error {
	locate := func(r *Reject) {
		w.open.locate(r, w.group, w.number, element)
		if w.keepPayload {
			r.Payload = w.open.mapping.payloadOf(row, &w.scratch)
		}
	}
	w.span.unread = true
	if w.touches {
		w.touch(p, noTime)
	}
	if !w.takes(p) {
		return nil
	}
	if p.id == "" {
		own := *r
		own.MessageID, own.Detail = strings.Clone(r.MessageID), strings.Clone(r.Detail)
		w.strays.add(stray{w.open.origin, w.number, element, own}, locate)
		return nil
	}
	locate(r)
	record, err := w.encoder.reject(p, r)
	if err != nil {
		return err
	}
	return w.writer.append(record)
}

// maxFiltered is how many conversations' rows are counted before they are
// written: rows of one conversation often lie together.
const maxFiltered = 4096

// filter counts rows that where left out.
func (w *worker) filter(p point, rows int) error {
	if w.touches && w.rejected[p.hash] {
		w.touch(p, noTime) // one may have been what was rejected
	}
	if w.open.set != SetMessages || !w.takes(p) {
		return nil
	}
	if w.filtered == nil {
		w.filtered = map[string]int{}
	}
	if n, ok := w.filtered[p.id]; ok {
		w.filtered[p.id] = n + rows
		return nil
	}
	w.filtered[strings.Clone(p.id)] = rows
	if len(w.filtered) < maxFiltered {
		return nil
	}
	return w.writeFiltered()
}

func (w *worker) writeFiltered() error {
	for id, rows := range w.filtered {
		record, err := w.encoder.filtered(pointOf(id), rows)
		if err != nil {
			return err
		}
		if err := w.writer.append(record); err != nil {
			return err
		}
	}
	clear(w.filtered)
	return nil
}
