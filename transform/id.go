package transform

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/chatbackfill/chatbackfill/extract"
)

// ID is a UUID of version 5 (RFC 9562): an event's messageId, among others.
type ID [16]byte

// String returns the canonical text of 36 characters.
func (id ID) String() string { return string(id.appendText(make([]byte, 0, 36))) }

func (id ID) appendText(b []byte) []byte {
	var text [36]byte
	at := 0
	for i, c := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text[at] = '-'
			at++
		}
		text[at], text[at+1] = hexDigits[c>>4], hexDigits[c&0xf]
		at += 2
	}
	return append(b, text[:]...)
}

// urlNamespace is the URL namespace of RFC 9562, 6ba7b811-9dad-11d1-80b4-00c04fd430c8.
var urlNamespace = ID{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}

// separator stands between the parts that an id is made of. No part contains it.
const separator = "\x1f"

// ids makes the ids of one job's events. Everything that enters an id is a
// property of the transcript, or the job's namespace and label: the same
// transcript has the same ids on every machine and in every run.
type ids struct {
	root    ID
	scratch []byte
}

func newIDs(namespace, label string) ids {
	root := ids{root: urlNamespace}
	return ids{root: root.of("chatbackfill:"+namespace, label)}
}

// of returns UUIDv5(root, parts joined by the separator).
func (g *ids) of(parts ...string) ID {
	b := append(g.scratch[:0], g.root[:]...)
	for i, part := range parts {
		if i > 0 {
			b = append(b, separator...)
		}
		b = append(b, part...)
	}
	g.scratch = b
	sum := sha1.Sum(b)
	id := ID(sum[:16])
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return id
}

// event returns the messageId of an event.
func (g *ids) event(conversation string, name Name, message string) ID {
	return g.of(conversation, name.String(), message)
}

// anonymous returns the anonymousId of a conversation whose customer is unknown.
func (g *ids) anonymous(conversation string) string {
	return g.of(conversation, "anonymous").String()
}

// message returns the id of a message that has none in its source. n counts
// the equal messages of one file or query.
func (g *ids) message(m *extract.Message, n int) string {
	return g.of(m.ConversationID, strconv.FormatInt(int64(m.SentAt), 10), m.Author.ID, m.Body, strconv.Itoa(n)).String()
}

// key names an event within its conversation, whatever the namespace.
func (g *ids) key(name Name, message string) uint64 {
	g.scratch = append(append(append(g.scratch[:0], name.String()...), separator...), message...)
	return xxhash.Sum64(g.scratch)
}

// Revised returns the id under which the event of this id is sent again on
// purpose: UUIDv5(id, "revision N").
func (id ID) Revised(revision int) ID {
	revised := ids{root: id}
	return revised.of("revision " + strconv.Itoa(revision))
}

// ParseID is the inverse of [ID.String].
func ParseID(s string) (ID, bool) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:]))
	return id, err == nil
}
