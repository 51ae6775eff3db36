package extract

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// errPageTooLarge stops a page that has to be read in smaller ones: it holds more
// than PageBytes, or, being errPageTooSlow too, takes too long.
var (
	errPageTooLarge = errors.New("the page is too large")
	errPageTooSlow  = fmt.Errorf("%w: it takes too long", errPageTooLarge)
)

// pgPage collects the rows of some conversations. They come in any order.
type pgPage struct {
	pass   *PostgresPass
	ids    []string
	span   *pgSpan        // that the ids are all those of; nil: they are any
	groups map[string]int // a conversation's transcript
	single bool           // the page has one conversation, and cannot be smaller
	refuse bool           // it is larger than memory allows: rows are counted only

	transcripts []Transcript // the first is of rows of no conversation
	messages    []Message    // as they came, until the page is finished
	owners      []int32      // the transcripts of the messages
	counts      []int        // messages of each transcript
	arena       Scratch
	bytes       int64 // that it takes in memory, about
	read        int64 // rows of messages
	refused     int   // those that were left out because memory does not allow more
	last        int   // the transcript of the last row
}

// newPage begins a page, whose messages are put into room.
func (p *PostgresPass) newPage(ids []string, span *pgSpan, room []Message) *pgPage {
	page := &pgPage{
		pass: p, ids: ids, span: span, single: len(ids) <= 1,
		messages:    room,
		owners:      make([]int32, 0, cap(room)),
		groups:      make(map[string]int, len(ids)),
		transcripts: make([]Transcript, 1, len(ids)+1),
		counts:      make([]int, len(ids)+1),
	}
	for _, id := range ids {
		if _, ok := page.groups[id]; !ok {
			page.groups[id] = len(page.transcripts)
			page.transcripts = append(page.transcripts, Transcript{ConversationID: id})
		}
	}
	return page
}

// fill reads the conversations' rows.
func (page *pgPage) fill(ctx context.Context, tx *pgTransaction) error {
	for _, r := range page.pass.relations() {
		s, err := page.statement(r)
		if err != nil {
			return err
		}
		if s == nil {
			continue
		}
		if _, err := page.rows(ctx, tx, r, s); err != nil {
			return err
		}
	}
	return nil
}

// statement selects a relation's rows of the page's conversations; nil if it
// cannot have any. A span is found in an index at once, and its ids are not
// sent back.
func (page *pgPage) statement(r *pgRelation) (*pgStatement, error) {
	switch {
	case len(page.ids) == 0:
		return nil, nil
	case page.span != nil:
		return r.spanRows(*page.span)
	}
	s, _ := r.pageRows(page.ids)
	return s, nil
}

// rows reads the rows of a statement into the page and returns their number.
func (page *pgPage) rows(ctx context.Context, tx *pgTransaction, r *pgRelation, s *pgStatement) (n int, err error) {
	take := page.message
	if r.kind == SetConversations {
		take = page.conversation
	}
	var leftOut bool
	each := func(row []Value, element int, unreadable *problem) error {
		return take(pgRow{r, row, element, unreadable, leftOut})
	}
	err = r.read(ctx, tx, s, &page.arena, func(row []Value, out bool) error {
		leftOut = out
		n++
		for _, v := range row {
			page.bytes += int64(len(v.Str)) + 8
		}
		switch {
		case page.bytes > page.pass.cfg.PageBytes && !page.single:
			return errPageTooLarge
		case page.tooLarge():
			page.drop()
		}
		return r.mapping.unfold(row, &page.arena, each)
	})
	return n, err
}

// pgRow is a row of a set, opened.
type pgRow struct {
	*pgRelation
	values     []Value
	element    int // of a nested set, else -1
	unreadable *problem
	leftOut    bool // by what Postgres judges of the where: of the row only ids and times are known
}

// kept reports whether the set's where keeps the row, or why that is not known.
func (row *pgRow) kept(s *Scratch) (bool, *problem) {
	switch {
	case row.unreadable != nil:
		return false, row.unreadable
	case row.leftOut || row.filter.whole:
		return !row.leftOut, nil
	}
	return row.mapping.keeps(row.values, s)
}

// isAfter reports whether a time of the row lies at or after the bound, so that
// it is for a later pass; a row of no conversation never is. A pass that selects
// by what changed may never come by a row that changed before the bound: the
// transcript says when to look at it. An end more than a day ahead is how some
// tables say that there is none yet.
func (page *pgPage) isAfter(row *pgRow, group, field, changed int) bool {
	at, bad := row.mapping.fields[field].time(row.values, &page.arena)
	upper := page.pass.Upper
	switch {
	case group == 0 || bad != nil || at < upper:
		return false
	case row.changed == nil || row.kind == SetConversations && at > latestAt(upper.Time()):
		return true
	}
	if changedAt, bad := row.mapping.fields[changed].time(row.values, &page.arena); bad == nil && changedAt < upper {
		t := &page.transcripts[group]
		t.Ahead = Earliest(t.Ahead, at)
	}
	return true
}

func (page *pgPage) message(row pgRow) error {
	m := row.mapping
	id, badID := m.conversationID(row.values, &page.arena)
	group, ok, err := page.groupOf(row.pgRelation, id, badID)
	if !ok || err != nil || page.isAfter(&row, group, fSentAt, fChangedAt) {
		return err
	}
	page.read++
	switch keep, unknown := row.kept(&page.arena); {
	case unknown != nil:
		page.reject(&row, group, m.reject(unknown, id, ""))
		return nil
	case !keep:
		page.transcripts[group].Filtered++
		return nil
	}
	if page.refuse {
		page.refused++
		return nil
	}
	page.bytes += int64(unsafe.Sizeof(Message{}))
	page.messages = append(page.messages, Message{})
	out := &page.messages[len(page.messages)-1]
	if reject := m.message(row.values, &page.arena, id, badID, out); reject != nil {
		page.messages = page.messages[:len(page.messages)-1]
		page.reject(&row, group, reject)
		return nil
	}
	out.ConversationID = page.transcripts[group].ConversationID
	out.Origin = row.origin
	page.owners = append(page.owners, int32(group))
	page.counts[group]++
	return nil
}

func (page *pgPage) conversation(row pgRow) error {
	m := row.mapping
	id, badID := m.conversationID(row.values, &page.arena)
	group, ok, err := page.groupOf(row.pgRelation, id, badID)
	if !ok || err != nil {
		return err
	}
	switch keep, unknown := row.kept(&page.arena); {
	case unknown != nil:
		page.reject(&row, group, m.reject(unknown, id, ""))
		return nil
	case !keep:
		return nil
	}
	if page.isAfter(&row, group, cEndedAt, cChangedAt) {
		m = row.unended // an end that the messages do not reach yet
	}
	if page.refuse {
		return nil
	}
	var out Conversation
	if reject := m.conversation(row.values, &page.arena, id, badID, &out); reject != nil {
		page.reject(&row, group, reject)
		return nil
	}
	t := &page.transcripts[group]
	out.ConversationID = t.ConversationID
	t.Conversations = append(t.Conversations, out)
	return nil
}

// groupOf finds the transcript of a row; false if the row is none of the page's.
func (page *pgPage) groupOf(r *pgRelation, id string, bad *problem) (int, bool, error) {
	switch {
	case bad != nil:
		return 0, true, nil
	case page.last > 0 && page.transcripts[page.last].ConversationID == id:
		return page.last, true, nil
	}
	group, ok := page.groups[id]
	if !ok && !r.id.loose {
		return 0, false, fmt.Errorf("read %s: a row of conversation %s was not asked for", r.name, shown(textValue(id)))
	}
	if ok {
		page.last = group
	}
	return group, ok, nil
}

func (page *pgPage) reject(row *pgRow, group int, reject *Reject) {
	page.bytes += rejectSize
	if page.refuse {
		page.refused += reject.messageRows()
		return
	}
	row.locate(reject, row.values, row.element)
	if page.pass.cfg.KeepPayload {
		reject.Payload = row.mapping.payloadOf(row.values, &page.arena)
	}
	t := &page.transcripts[group]
	t.Rejects = append(t.Rejects, *reject)
}

// locate says where a rejected row is: by its ids, or by a hash of what was
// read of it, which stay the same when it is read again.
func (r *pgRelation) locate(reject *Reject, row []Value, element int) {
	var keys []string
	if reject.ConversationID != "" {
		keys = append(keys, "conversation_id="+reject.ConversationID)
	}
	if reject.MessageID != "" {
		keys = append(keys, "message_id="+reject.MessageID)
	} else {
		var text []byte
		for _, v := range row {
			text = append(appendText(text, v), separator)
		}
		keys = append(keys, fmt.Sprintf("row %016x", xxhash.Sum64(text)))
	}
	if element >= 0 {
		keys = append(keys, fmt.Sprintf("%s[%d]", r.mapping.list.name, element))
	}
	reject.Locator = r.name + ": " + strings.Join(keys, ", ")
	reject.ConversationID = strings.Clone(reject.ConversationID)
	reject.MessageID = strings.Clone(reject.MessageID)
}

// rejectSize is about what a reject takes, in bytes.
const rejectSize = 400

// tooLarge reports whether the page's only conversation takes more memory than
// a conversation may.
func (page *pgPage) tooLarge() bool {
	return page.single && len(page.ids) > 0 && !page.refuse && page.bytes > largestConversation(page.pass.cfg.Memory)
}

// drop forgets what was read of the page's only conversation: only the number
// of its rows is kept, and of those that follow.
func (page *pgPage) drop() {
	t := &page.transcripts[1]
	page.refuse = true
	page.refused = len(page.messages)
	for i := range t.Rejects {
		page.refused += t.Rejects[i].messageRows()
	}
	page.messages, page.owners = nil, nil
	clear(page.counts)
	t.Conversations, t.Rejects = nil, nil
}

// refusal is the reject of a conversation that is too large.
func (page *pgPage) refusal() Reject {
	name, id := page.pass.messages[0].name, page.ids[0]
	return Reject{
		Stage: StageRead, Reason: TooMuch, Set: SetMessages, ConversationID: id, Rows: page.refused,
		Locator: locateConversation(name, id),
		Detail:  fmt.Sprintf("the conversation's %d rows take more than an eighth of source.postgres.memory: raise it, then chatbackfill rejects retry", page.refused),
	}
}

// finish returns the transcripts with rows, also such as are for a later pass,
// those of no conversation first.
func (page *pgPage) finish() Page {
	if page.refuse {
		page.transcripts[1].Rejects = append(page.transcripts[1].Rejects, page.refusal())
	}
	page.group()
	var out Page
	for i := range page.transcripts {
		t := &page.transcripts[i]
		if len(t.Messages)+len(t.Rejects)+t.Filtered > 0 || t.Ahead != 0 {
			finish(t)
			out.Transcripts = append(out.Transcripts, *t)
		}
	}
	return out
}

// group brings the messages of each transcript together, in the order in which
// they came. It takes no second copy of them: they are most of a page.
func (page *pgPage) group() {
	next := make([]int32, len(page.transcripts))
	at := 0
	for i := range page.transcripts {
		next[i] = int32(at)
		end := at + page.counts[i]
		if end > at {
			page.transcripts[i].Messages = page.messages[at:end:end]
		}
		at = end
	}
	from := make([]int32, len(page.owners)) // where the message of a place is
	for i, owner := range page.owners {
		from[next[owner]] = int32(i)
		next[owner]++
	}
	for first := range from {
		if from[first] == int32(first) {
			continue
		}
		moved := page.messages[first]
		at := first
		for from[at] != int32(first) {
			page.messages[at] = page.messages[from[at]]
			at, from[at] = int(from[at]), int32(at)
		}
		page.messages[at], from[at] = moved, int32(at)
	}
}
