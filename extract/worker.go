package extract

import (
	"context"
	"errors"
	"strings"
)

// unit is what a worker reads at once: a row group of a file.
type unit struct {
	file  *parquetFile
	group int
}

func sendUnits(ctx context.Context, units chan<- unit, sets ...[]*parquetFile) error {
	for _, files := range sets {
		for _, f := range files {
			for group := range f.groups {
				select {
				case units <- unit{f, group}:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
	}
	return nil
}

// worker reads row groups and puts their rows, mapped, into the store.
type worker struct {
	*Reader
	writer      *storeWriter
	maxPage     int64
	keepPayload bool

	open         *openFile
	group        int
	number       int64 // of the row within the file
	eachMessage  elementFunc
	eachOther    elementFunc
	filtered     map[string]int // rows that where left out, by conversation
	encoder      encoder
	scratch      Scratch
	message      Message
	conversation Conversation
}

func (w *worker) run(ctx context.Context, units <-chan unit) (err error) {
	defer func() { err = errors.Join(err, w.closeFile()) }()
	w.eachMessage, w.eachOther = w.messageElement, w.conversationElement
	for u := range units {
		if err := w.unit(ctx, u); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
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
	if u.file.set == SetMessages {
		return w.open.readGroup(ctx, u.group, w.messageRow, func(rows int64) { w.read.Add(rows) })
	}
	return w.open.readGroup(ctx, u.group, w.conversationRow, func(int64) {})
}

func (w *worker) closeFile() error {
	if w.open == nil {
		return nil
	}
	err := w.open.file.Close()
	w.open = nil
	return err
}

func (w *worker) messageRow(row []Value, number int64) error {
	w.scratch.Reset()
	w.number = number
	return w.open.mapping.unfold(row, &w.scratch, w.eachMessage)
}

func (w *worker) messageElement(row []Value, element int, unreadable *problem) error {
	m := w.open.mapping
	id, bad := m.conversationID(row, &w.scratch)
	p := pointOf(id)
	if w.passed(p) {
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
		return w.filter(id)
	}
	if r := m.message(row, &w.scratch, id, bad, &w.message); r != nil {
		return w.reject(r, p, row, element)
	}
	w.message.Origin = w.open.origin
	record, err := w.encoder.message(p, &w.message)
	if err != nil {
		return err
	}
	return w.writer.append(record)
}

func (w *worker) conversationRow(row []Value, number int64) error {
	w.scratch.Reset()
	w.number = number
	return w.open.mapping.unfold(row, &w.scratch, w.eachOther)
}

func (w *worker) conversationElement(row []Value, element int, unreadable *problem) error {
	m := w.open.mapping
	id, bad := m.conversationID(row, &w.scratch)
	p := pointOf(id)
	if w.passed(p) {
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
		return nil
	}
	if r := m.conversation(row, &w.scratch, id, bad, &w.conversation); r != nil {
		return w.reject(r, p, row, element)
	}
	record, err := w.encoder.conversation(p, &w.conversation)
	if err != nil {
		return err
	}
	return w.writer.append(record)
}

// passed reports whether a conversation lies before where reading goes on, or
// is not asked for.
func (w *worker) passed(p point) bool {
	return w.after != nil && p.compare(*w.after) <= 0 || w.only != nil && !w.only(p)
}

func (w *worker) reject(r *Reject, p point, row []Value, element int) error {
	locate := func(r *Reject) {
		w.open.locate(r, w.group, w.number, element)
		if w.keepPayload {
			r.Payload = w.open.mapping.payloadOf(row, &w.scratch)
		}
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

// filter counts a row that where left out.
func (w *worker) filter(conversationID string) error {
	if w.filtered == nil {
		w.filtered = map[string]int{}
	}
	if n, ok := w.filtered[conversationID]; ok {
		w.filtered[conversationID] = n + 1
		return nil
	}
	w.filtered[strings.Clone(conversationID)] = 1
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
