package transform

import (
	"cmp"
	"slices"
	"strings"

	"github.com/chatbackfill/chatbackfill/extract"
)

// row is a message row of a conversation, none of those ignored.
type row struct {
	*extract.Message
	id        string // MessageID, or the one made in its place
	isMessage bool   // somebody said something: the row causes Sent or Received
}

// says reports whether the row is a message by somebody of that role.
func (r *row) says(role extract.Role) bool { return r.isMessage && r.Role == role }

// arrange puts the rows of a transcript that are not ignored into their order,
// each once. The result depends on the set of rows alone, never on the order in
// which they arrived.
func (b *Builder) arrange(t *extract.Transcript, tally *Tally) []row {
	rows := reuse(b.rows)
	for i := range t.Messages {
		m := &t.Messages[i]
		if why := extract.Ignored(m.Kind, m.Role); why != "" {
			tally.add(ignored(why), 1)
			continue
		}
		rows = append(rows, row{Message: m, id: m.MessageID, isMessage: isMessage(m)})
	}
	b.rows = rows
	b.nameRows(rows)
	rows = b.distinct(rows, tally)
	slices.SortFunc(rows, compareRows)
	return rows
}

// isMessage reports whether a row that is not ignored is a message: all rows of
// kind message, and those of another kind in which somebody also wrote.
func isMessage(m *extract.Message) bool {
	return m.Kind == extract.KindMessage || m.Role != extract.System && !blank(m.Body)
}

// nameRows gives rows without an id one that is made of what they say. Rows
// that say the same in one file are different messages and numbered; across
// files they are the same message.
func (b *Builder) nameRows(rows []row) {
	var nameless []*row
	for i := range rows {
		if rows[i].id == "" {
			nameless = append(nameless, &rows[i])
		}
	}
	slices.SortFunc(nameless, func(x, y *row) int {
		return cmp.Or(
			cmp.Compare(x.Origin, y.Origin),
			compareSaid(x.Message, y.Message),
			compareFields(x.Message, y.Message),
		)
	})
	n := 0
	for i, r := range nameless {
		n++
		if i == 0 || r.Origin != nameless[i-1].Origin || compareSaid(r.Message, nameless[i-1].Message) != 0 {
			n = 0
		}
		r.id = b.ids.message(r.Message, n)
	}
}

func compareSaid(x, y *extract.Message) int {
	return cmp.Or(
		cmp.Compare(x.SentAt, y.SentAt),
		strings.Compare(x.Author.ID, y.Author.ID),
		strings.Compare(x.Body, y.Body),
	)
}

// distinct keeps one of the rows that have the same id: the one that changed
// last.
func (b *Builder) distinct(rows []row, tally *Tally) []row {
	b.seen.reset()
	kept := rows[:0]
	for _, r := range rows {
		at := b.seen.find(r.id)
		if at == nil {
			b.seen.add(r.id, len(kept))
			kept = append(kept, r)
			continue
		}
		tally.add(Duplicate, 1)
		if compareVersions(r.Message, kept[*at].Message) > 0 {
			kept[*at] = r
		}
	}
	return kept
}

// compareVersions orders two rows with one id by which is the later version.
// Versions of the same time are ordered by their fields: any order would do
// that is the same for every order of arrival.
func compareVersions(x, y *extract.Message) int {
	return cmp.Or(
		cmp.Compare(changed(x), changed(y)),
		compareFields(x, y),
	)
}

func changed(m *extract.Message) extract.Time {
	if m.ChangedAt == 0 {
		return m.SentAt
	}
	return m.ChangedAt
}

func compareFields(x, y *extract.Message) int {
	return cmp.Or(
		cmp.Compare(x.SentAt, y.SentAt),
		cmp.Compare(x.ChangedAt, y.ChangedAt),
		strings.Compare(x.Role.String(), y.Role.String()),
		strings.Compare(x.Kind.String(), y.Kind.String()),
		comparePersons(x.Author, y.Author),
		comparePersons(x.Agent, y.Agent),
		strings.Compare(x.Body, y.Body),
		strings.Compare(x.UserID, y.UserID),
		strings.Compare(x.AnonymousID, y.AnonymousID),
		x.Sequence.Compare(y.Sequence),
		compareBools(x.Deleted, y.Deleted),
		slices.Compare(x.Extra, y.Extra),
	)
}

func comparePersons(x, y extract.Person) int {
	return cmp.Or(
		strings.Compare(x.ID, y.ID),
		strings.Compare(x.Name, y.Name),
		strings.Compare(x.Username, y.Username),
	)
}

func compareBools(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return -1
	}
	return 1
}

// compareRows is the order of a conversation: time, then sequence, then ends
// after what they end, then id.
func compareRows(x, y row) int {
	if c := cmp.Compare(x.SentAt, y.SentAt); c != 0 {
		return c
	}
	if c := x.Sequence.Compare(y.Sequence); c != 0 {
		return c
	}
	if c := compareBools(x.Kind == extract.KindEnd, y.Kind == extract.KindEnd); c != 0 {
		return c
	}
	return compareIDs(x.id, y.id)
}

// compareIDs orders ids of only digits by value and before all others, which
// are ordered bytewise.
func compareIDs(x, y string) int {
	xNumber, yNumber := isNumber(x), isNumber(y)
	if !xNumber || !yNumber {
		return cmp.Or(compareBools(yNumber, xNumber), strings.Compare(x, y))
	}
	xDigits, yDigits := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
	return cmp.Or(
		cmp.Compare(len(xDigits), len(yDigits)),
		strings.Compare(xDigits, yDigits),
		strings.Compare(x, y),
	)
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// latest returns what the conversations set says of a conversation: of several
// rows the one that changed last, the same one for every order of arrival.
func latest(rows []extract.Conversation) extract.Conversation {
	var best extract.Conversation
	for i, c := range rows {
		if i == 0 || compareConversations(c, best) > 0 {
			best = c
		}
	}
	return best
}

func compareConversations(x, y extract.Conversation) int {
	return cmp.Or(
		cmp.Compare(x.ChangedAt, y.ChangedAt),
		strings.Compare(x.UserID, y.UserID),
		strings.Compare(x.AnonymousID, y.AnonymousID),
		comparePersons(x.Assignee, y.Assignee),
		cmp.Compare(x.EndedAt, y.EndedAt),
		strings.Compare(x.EndedBy, y.EndedBy),
	)
}
