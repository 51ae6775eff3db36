package transform

import (
	"slices"

	"github.com/chatbackfill/chatbackfill/extract"
)

// end is an end of a conversation that counts: one after the first customer
// message.
type end struct {
	last     int // the row of the last message at or before the end
	place    int // the row of the end, or the row after which an end without a row comes
	bound    int // the last row that looking ahead to the end sees
	row      int // the row of the end, or -1
	at       extract.Time
	by       string // the id of the agent who ended it, for an end without a row
	inferred bool
}

// findEnds returns the ends of a conversation in their order, and when an end
// may come to be inferred that cannot be yet (0: never). No two ends have the
// same last message: whoever tells of one end, however often, tells of one end.
func (b *Builder) findEnds(rows []row, first int, said extract.Conversation, horizon extract.Time) ([]end, extract.Time) {
	ends := reuse(b.ends)
	if first < 0 {
		return ends, 0
	}
	ends = appendEndRows(ends, rows, first)
	if told, ok := toldEnd(rows, first, said); ok {
		ends = insertEnd(ends, told)
	}
	var due extract.Time
	if b.opts.EndAfterIdle > 0 {
		ends, due = b.inferEnds(ends, rows, first, horizon)
	}
	b.ends = ends
	return ends, due
}

// appendEndRows adds the ends told by rows of kind end, the first row of each.
func appendEndRows(ends []end, rows []row, first int) []end {
	last := -1
	for i := range rows {
		if rows[i].isMessage {
			last = i
		}
		if rows[i].Kind != extract.KindEnd || last < first {
			continue
		}
		if n := len(ends); n > 0 && ends[n-1].last == last {
			continue
		}
		ends = append(ends, end{last: last, place: i, bound: i, row: i, at: rows[i].SentAt})
	}
	return ends
}

// toldEnd returns the end that the conversation's own row tells of. It comes
// after the last row at or before its time.
func toldEnd(rows []row, first int, said extract.Conversation) (end, bool) {
	if said.EndedAt == 0 {
		return end{}, false
	}
	place := len(rows) - 1
	for place >= 0 && rows[place].SentAt > said.EndedAt {
		place--
	}
	last := place
	for last >= 0 && !rows[last].isMessage {
		last--
	}
	return end{last: last, place: place, bound: place, row: -1, at: said.EndedAt, by: said.EndedBy}, last >= first
}

// insertEnd adds e unless a row tells of the same end.
func insertEnd(ends []end, e end) []end {
	at, found := slices.BinarySearchFunc(ends, e.last, func(e end, last int) int { return e.last - last })
	if found {
		return ends
	}
	return slices.Insert(ends, at, e)
}

// inferEnds adds an end at every message that no message follows for as long as
// the job says, unless an end is told there. Rows that come before it can be
// inferred are seen when looking ahead: they were when it was not inferred yet.
func (b *Builder) inferEnds(ends []end, rows []row, first int, horizon extract.Time) ([]end, extract.Time) {
	told := ends
	all := make([]end, 0, len(told)+1)
	for i := first; i < len(rows); {
		next := i + 1
		for next < len(rows) && !rows[next].isMessage {
			next++
		}
		until := horizon
		if next < len(rows) {
			until = rows[next].SentAt
		}
		idleAt := rows[i].SentAt.Add(b.opts.EndAfterIdle)
		switch {
		case len(told) > 0 && told[0].last == i:
			all, told = append(all, told[0]), told[1:]
		case until >= idleAt || next == len(rows) && b.opts.Final:
			bound := i
			for bound+1 < next && rows[bound+1].SentAt < idleAt {
				bound++
			}
			all = append(all, end{last: i, place: i, bound: bound, row: -1, at: rows[i].SentAt, inferred: true})
		case next == len(rows):
			return all, idleAt
		}
		i = next
	}
	return all, 0
}
