package transform

import (
	"crypto/sha1"
	"encoding/binary"
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
	b = append(b, "00000000-0000-0000-0000-000000000000"...)
	text := b[len(b)-idLen:]
	for i, at := range digitsAt {
		binary.LittleEndian.PutUint16(text[at:], hexPairs[id[i]])
	}
	return b
}

// idLen is the length of an id's text, and digitsAt where each of its bytes is
// in there.
const idLen = 36

var digitsAt = [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// hexPairs are the two digits of each byte, the first one in the low bits.
var hexPairs = func() (t [256]uint16) {
	for c := range t {
		t[c] = uint16(hexDigits[c>>4]) | uint16(hexDigits[c&0xf])<<8
	}
	return t
}()

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

	conversation string // of the last event
	named        []byte // what the last event's id is made of
	within       int    // where the part of named begins that is not the same in the whole conversation
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
	return hashed(b)
}

// hashed returns the UUIDv5 of a root's bytes and a name.
func hashed(rootAndName []byte) ID {
	sum := sha1.Sum(rootAndName)
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	return ID(sum[:16])
}

// event returns the messageId of an event, UUIDv5(root, conversation, name,
// message), and the key that names it within its conversation, whatever the
// namespace.
func (g *ids) event(conversation string, name Name, message string) (ID, uint64) {
	if g.within == 0 || conversation != g.conversation {
		b := append(g.named[:0], g.root[:]...)
		b = append(append(b, conversation...), separator...)
		g.conversation, g.named, g.within = conversation, b, len(b)
	}
	g.named = append(append(g.named[:g.within], beforeMessage[name]...), message...)
	return hashed(g.named), xxhash.Sum64(g.named[g.within:])
}

// beforeMessage is what comes before the message in the name of an event, by Name.
var beforeMessage = func() (all [len(eventNames)]string) {
	for i, name := range eventNames {
		all[i] = name + separator
	}
	return all
}()

// anonymous returns the anonymousId of a conversation whose customer is unknown.
func (g *ids) anonymous(conversation string) string {
	return g.of(conversation, "anonymous").String()
}

// message returns the id of a message that has none in its source. n counts
// the equal messages of one file or query.
func (g *ids) message(m *extract.Message, n int) string {
	return g.of(m.ConversationID, strconv.FormatInt(int64(m.SentAt), 10), m.Author.ID, m.Body, strconv.Itoa(n)).String()
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
