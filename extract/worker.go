package extract

import (
	"context"
	"errors"
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
	encoder      encoder
	scratch      Scratch
	message      Message
	conversation Conversation
}

func (w *worker) run(ctx context.Context, units <-chan unit) (err error) {
	defer func() { err = errors.Join(err, w.closeFile()) }()
	for u := range units {
		if err := w.unit(ctx, u); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.writer.close()
}

func (w *worker) unit(ctx context.Context, u unit) error {
	if w.open == nil || w.open.parquetFile != u.file {
		if err := w.closeFile(); err != nil {
			return err
		}
		open, err := u.file.openReader(w.maxPage)
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
	m := w.open.mapping
	w.scratch.Reset()
	id, bad := m.conversationID(row, &w.scratch)
	p := pointOf(id)
	if w.passed(p) {
		return nil
	}
	if r := m.message(row, &w.scratch, id, bad, &w.message); r != nil {
		return w.reject(r, p, row, number)
	}
	w.message.Origin = w.open.origin
	record, err := w.encoder.message(p, &w.message)
	if err != nil {
		return err
	}
	return w.writer.append(record)
}

func (w *worker) conversationRow(row []Value, number int64) error {
	m := w.open.mapping
	w.scratch.Reset()
	id, bad := m.conversationID(row, &w.scratch)
	p := pointOf(id)
	if w.passed(p) {
		return nil
	}
	if r := m.conversation(row, &w.scratch, id, bad, &w.conversation); r != nil {
		return w.reject(r, p, row, number)
	}
	record, err := w.encoder.conversation(p, &w.conversation)
	if err != nil {
		return err
	}
	return w.writer.append(record)
}

// passed reports whether a conversation lies before where reading goes on.
func (w *worker) passed(p point) bool { return w.after != nil && p.compare(*w.after) <= 0 }

func (w *worker) reject(r *Reject, p point, row []Value, number int64) error {
	w.open.locate(r, w.group, number)
	if w.keepPayload {
		r.Payload = w.open.mapping.payload(row)
	}
	record, err := w.encoder.reject(p, r)
	if err != nil {
		return err
	}
	return w.writer.append(record)
}
