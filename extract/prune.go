package extract

import (
	"context"
	"time"
)

// skips reports whether nothing of a row group has to be read: its rows are
// known to be left out by where, to lie at other times, or to belong to other
// conversations than those that are looked at. No conversation that is looked at
// loses a row that is a message of it.
func (w *worker) skips(ctx context.Context) (bool, error) {
	f, rows := w.open, w.open.groups[w.group]
	var err error
	skip := false
	switch {
	case w.source.unpruned:
		return false, nil
	case w.chosen:
		skip, err = w.isOfOthers()
	case w.touches && w.pass.selects() && f.set == SetMessages && f.isAtOtherTimes(w.group, &w.pass.Pass):
		skip = true
	case w.isFiltered():
		if skip = true; w.pass.Shard.Has("") {
			// Whose rows they are is not known: they count as those of no conversation.
			err = w.filter(point{}, int(rows))
		}
	}
	if skip && f.set == SetMessages {
		w.read.Add(rows)
	}
	if err == nil {
		err = ctx.Err()
	}
	return skip, err
}

// isFiltered reports whether where leaves out all rows of a row group, and
// whether they can go unread. What was rejected of a conversation may have become
// such a row: then the conversation is to be looked at.
func (w *worker) isFiltered() bool {
	m := w.open.mapping
	return m.where != nil && m.list == nil && !(w.touches && len(w.pass.Rejected) > 0) &&
		m.where.simple.excludes(w.open.rdr.MetaData(), w.group)
}

// isOfOthers reports whether no row of a row group belongs to a conversation
// that is looked at, if that can be seen from one column.
func (w *worker) isOfOthers() (bool, error) {
	m := w.open.mapping
	slot := m.fields[0].slot
	if slot < 0 || m.Columns[slot].index < 0 {
		return false, nil
	}
	others := true
	row := make([]Value, len(m.Columns))
	err := w.open.readColumn(w.group, slot, func(v Value) bool {
		w.scratch.Reset()
		row[slot] = v
		id, _ := m.conversationID(row, &w.scratch)
		others = !w.counts(pointOf(id))
		return others
	})
	return others, err
}

// zoneMargin is more than two readings of one wall clock time can differ by.
const zoneMargin = 48 * time.Hour

// isAtOtherTimes reports whether all messages of a row group were sent at times
// that a pass does not select.
func (f *openFile) isAtOtherTimes(group int, pass *Pass) bool {
	m := f.mapping
	b := &m.fields[fSentAt]
	if b.slot < 0 || m.Columns[b.slot].index < 0 || m.list != nil || b.values != nil || b.fallback != nil {
		return false
	}
	within, ok := boundsOf(f.rdr.MetaData(), group, m.Columns[b.slot].index)
	if !ok || within.nulls || !isTime(within.least.Type) && (within.least.Type != TypeInt || b.times.unit == 0) {
		return false
	}
	first, ok1 := b.times.time(within.least)
	last, ok2 := b.times.time(within.most)
	if !ok1 || !ok2 || first < earliest || last > m.latest {
		return false
	}
	return last.Add(zoneMargin) < pass.From || pass.Until != 0 && first.Add(-zoneMargin) >= pass.Until
}
