package extract

import (
	"encoding/binary"
	"errors"
	"math"
)

// A record is a row between being read and being grouped:
//
//	size of the record      uint32, little-endian
//	hash of the point       uint64
//	type                    byte
//	conversation id         length, bytes
//	fields                  those that are present, in order
//
// Records only live in this process and in its temporary files.

const recordHead = 4 + 8 + 1

// The types of records.
const (
	recordMessage byte = iota
	recordConversation
	recordReject
	recordFiltered // the number of rows that where left out
)

// encoder builds records one after the other in the same buffer.
type encoder struct{ buf []byte }

var errRecordSize = errors.New("a row holds more than 2 GiB")

func (e *encoder) start(kind byte, p point) {
	e.buf = append(e.buf[:0], 0, 0, 0, 0)
	e.buf = binary.LittleEndian.AppendUint64(e.buf, p.hash)
	e.buf = append(e.buf, kind)
	e.string(p.id)
}

// finish returns the record, valid until the next start.
func (e *encoder) finish() ([]byte, error) {
	if len(e.buf) > math.MaxInt32 {
		return nil, errRecordSize
	}
	binary.LittleEndian.PutUint32(e.buf, uint32(len(e.buf)))
	return e.buf, nil
}

func (e *encoder) string(s string) {
	e.buf = append(binary.AppendUvarint(e.buf, uint64(len(s))), s...)
}

func (e *encoder) uint(n uint64) { e.buf = binary.AppendUvarint(e.buf, n) }
func (e *encoder) int(n int64)   { e.buf = binary.LittleEndian.AppendUint64(e.buf, uint64(n)) }

// Which fields of a message are present, by bit. The strings come first, in
// the order of messageStrings.
const (
	hasChangedAt = 1 << (numMessageStrings + iota)
	hasSequence
	hasDeleted
	hasExtra
)

const numMessageStrings = 10

// messageStrings has message_id and then the fields from author_id to anonymous_id,
// in their order.
func messageStrings(m *Message) [numMessageStrings]*string {
	return [...]*string{
		&m.MessageID, &m.Author.ID, &m.Author.Name, &m.Author.Username,
		&m.Agent.ID, &m.Agent.Name, &m.Agent.Username, &m.Body, &m.UserID, &m.AnonymousID,
	}
}

func (e *encoder) message(p point, m *Message) ([]byte, error) {
	e.start(recordMessage, p)
	strings := messageStrings(m)
	has := messageFlags(m, &strings)
	e.uint(has)
	e.buf = append(e.buf, byte(m.Role)|byte(m.Kind)<<4)
	e.uint(uint64(m.Origin))
	e.int(int64(m.SentAt))
	for i, s := range strings {
		if has&(1<<i) != 0 {
			e.string(*s)
		}
	}
	if has&hasChangedAt != 0 {
		e.int(int64(m.ChangedAt))
	}
	if has&hasSequence != 0 {
		e.int(m.Sequence.Int)
		e.int(int64(math.Float64bits(m.Sequence.Frac)))
	}
	if has&hasExtra != 0 {
		e.uint(uint64(len(m.Extra)))
		for _, x := range m.Extra {
			e.string(x)
		}
	}
	return e.finish()
}

func messageFlags(m *Message, strings *[numMessageStrings]*string) (has uint64) {
	for i, s := range strings {
		if *s != "" {
			has |= 1 << i
		}
	}
	if m.ChangedAt != 0 {
		has |= hasChangedAt
	}
	if m.Sequence != (Sequence{}) {
		has |= hasSequence
	}
	if m.Deleted {
		has |= hasDeleted
	}
	if len(m.Extra) > 0 {
		has |= hasExtra
	}
	return has
}

func (e *encoder) conversation(p point, c *Conversation) ([]byte, error) {
	e.start(recordConversation, p)
	for _, t := range [...]Time{c.ChangedAt, c.EndedAt} {
		e.int(int64(t))
	}
	for _, s := range conversationStrings(c) {
		e.string(*s)
	}
	return e.finish()
}

func conversationStrings(c *Conversation) [6]*string {
	return [...]*string{&c.UserID, &c.AnonymousID, &c.Assignee.ID, &c.Assignee.Name, &c.Assignee.Username, &c.EndedBy}
}

func (e *encoder) reject(p point, r *Reject) ([]byte, error) {
	e.start(recordReject, p)
	e.uint(uint64(r.Rows))
	for _, s := range rejectStrings(r) {
		e.string(*s)
	}
	return e.finish()
}

func rejectStrings(r *Reject) [7]*string {
	return [...]*string{
		(*string)(&r.Stage), (*string)(&r.Reason), &r.Set, &r.Locator, &r.MessageID, &r.Detail, &r.Payload,
	}
}

func (e *encoder) filtered(p point, rows int) ([]byte, error) {
	e.start(recordFiltered, p)
	e.uint(uint64(rows))
	return e.finish()
}

// decoder reads a record. The strings it returns alias the record.
type decoder struct{ rest []byte }

func recordSize(b []byte) int    { return int(binary.LittleEndian.Uint32(b)) }
func recordHash(b []byte) uint64 { return binary.LittleEndian.Uint64(b[4:]) }
func recordKind(b []byte) byte   { return b[12] }

// recordID returns the conversation's id.
func recordID(b []byte) string {
	d := decoder{b[recordHead:]}
	return d.string()
}

func decodeRecord(b []byte) (d decoder, conversationID string) {
	d = decoder{b[recordHead:recordSize(b)]}
	id := d.string()
	return d, id
}

func (d *decoder) uint() uint64 {
	if n := d.rest[0]; n < 0x80 { // nearly all are
		d.rest = d.rest[1:]
		return uint64(n)
	}
	return d.longUint()
}

func (d *decoder) longUint() uint64 {
	n, size := binary.Uvarint(d.rest)
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) int() int64 {
	n := int64(binary.LittleEndian.Uint64(d.rest))
	d.rest = d.rest[8:]
	return n
}

func (d *decoder) string() string {
	n := d.uint()
	s := stringOf(d.rest[:n:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) message(id string, m *Message) {
	has := d.uint()
	m.ConversationID = id
	m.Role, m.Kind = Role(d.rest[0]&0x0f), Kind(d.rest[0]>>4)
	d.rest = d.rest[1:]
	m.Origin = uint32(d.uint())
	m.SentAt = Time(d.int())
	for i, s := range messageStrings(m) {
		if has&(1<<i) != 0 {
			*s = d.string()
		}
	}
	if has&hasChangedAt != 0 {
		m.ChangedAt = Time(d.int())
	}
	if has&hasSequence != 0 {
		m.Sequence.Int = d.int()
		m.Sequence.Frac = math.Float64frombits(uint64(d.int()))
	}
	m.Deleted = has&hasDeleted != 0
	if has&hasExtra != 0 {
		m.Extra = make([]string, d.uint())
		for i := range m.Extra {
			m.Extra[i] = d.string()
		}
	}
}

func (d *decoder) conversation(id string) (c Conversation) {
	c.ConversationID = id
	c.ChangedAt, c.EndedAt = Time(d.int()), Time(d.int())
	for _, s := range conversationStrings(&c) {
		*s = d.string()
	}
	return c
}

func (d *decoder) reject(id string) (r Reject) {
	r.ConversationID = id
	r.Rows = int(d.uint())
	for _, s := range rejectStrings(&r) {
		*s = d.string()
	}
	return r
}
