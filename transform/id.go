package transform

import (
	"crypto/sha1"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/chatbackfill/chatbackfill/extract"
)

// ID is a UUID of version 5 (RFC 9562): an event's messageId, among others.
type ID [16]byte

// String returns the canonical text of 36 characters.
func (id ID) String() string {
	text := []byte(noID)
	id.writeTo(text)
	return string(text)
}

// writeTo writes the text over text that has the hyphens.
func (id *ID) writeTo(text []byte) {
	_ = text[idLen-1]
	a, b := hexDigits8(binary.BigEndian.Uint32(id[0:])), hexDigits8(binary.BigEndian.Uint32(id[4:]))
	c, d := hexDigits8(binary.BigEndian.Uint32(id[8:])), hexDigits8(binary.BigEndian.Uint32(id[12:]))
	binary.BigEndian.PutUint64(text[0:], a)
	binary.BigEndian.PutUint32(text[9:], uint32(b>>32))
	binary.BigEndian.PutUint32(text[14:], uint32(b))
	binary.BigEndian.PutUint32(text[19:], uint32(c>>32))
	binary.BigEndian.PutUint32(text[24:], uint32(c))
	binary.BigEndian.PutUint64(text[28:], d)
}

// hexDigits8 returns the eight hexadecimal digits of x, the first one in the
// highest byte.
func hexDigits8(x uint32) uint64 {
	const each = 0x0101010101010101
	n := uint64(x)
	n = (n<<16 | n) & 0x0000ffff0000ffff
	n = (n<<8 | n) & 0x00ff00ff00ff00ff
	n = (n<<4 | n) & 0x0f0f0f0f0f0f0f0f
	letters := (n + 6*each) >> 4 & each
	return n + '0'*each + letters*('a'-'0'-10)
}

// noID is a text in the place of an id.
const (
	noID  = "00000000-0000-0000-0000-000000000000"
	idLen = len(noID)
)

// urlNamespace is the URL namespace of RFC 9562, 6ba7b811-9dad-11d1-80b4-00c04fd430c8.
var urlNamespace = ID{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}

// separator stands between the parts that an id is made of. No part contains it.
const separator = "\x1f"

// ids makes the ids of one job's events. Everything that enters an id is a
// property of the transcript, or the job's namespace and label: the same
// transcript has the same ids on every machine and in every run.
type ids struct {
	root    ID
	hasher  hasher
	scratch []byte

	conversation string // of the last event
	named        []byte // what the last event's id is made of
	within       int    // where the part of named begins that is not the same in the whole conversation
}

func newIDs(namespace, label string) ids {
	url := idsIn(urlNamespace)
	return idsIn(url.of("chatbackfill:"+namespace, label))
}

func idsIn(root ID) ids { return ids{root: root, hasher: newHasher()} }

// of returns UUIDv5(root, parts joined by the separator).
func (g *ids) of(parts ...string) ID {
	b := append(g.scratch[:0], g.root[:]...)
	for i, part := range parts {
		if i > 0 {
			b = append(b, separator...)
		}
		b = append(b, part...)
	}
	g.scratch = padded(b)
	return g.hasher.sum(g.scratch)
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
	named := append(append(g.named[:g.within], beforeMessage[name]...), message...)
	g.named = padded(named)
	return g.hasher.sum(g.named), xxhash.Sum64(named[g.within:])
}

// hasher makes UUIDs of version 5 from a root's bytes and a name. Names are so
// short that [sha1.Sum] spends much of its time on its copies of them: this
// hashes them where they are, padded, and reads the state of the hash.
type hasher struct {
	sha1  hash.Hash
	state encoding.BinaryAppender // of sha1
	bytes []byte                  // that state
}

// newHasher panics if a Go keeps the state of SHA-1 in another form than all have
// since 1.10: no id would be right.
func newHasher() hasher {
	h := sha1.New()
	made := hasher{sha1: h, state: h.(encoding.BinaryAppender)}
	if sum := sha1.Sum(nil); made.sum(padded(nil)) != uuid5(sum[:]) {
		panic("crypto/sha1 keeps its state in an unknown form")
	}
	return made
}

// sum returns the UUID of what is padded. It panics where SHA-1 is not allowed.
func (h *hasher) sum(padded []byte) (id ID) {
	h.sha1.Reset()
	_, err := h.sha1.Write(padded)
	if err == nil {
		h.bytes, err = h.state.AppendBinary(h.bytes[:0])
	}
	if err != nil {
		panic(err)
	}
	return uuid5(h.bytes[len("sha\x01"):])
}

// uuid5 returns the UUID that a sum becomes. It reads the sum in the pieces in
// which the state was just written: larger loads would wait for them.
func uuid5(sum []byte) (id ID) {
	a, b := binary.BigEndian.Uint32(sum), binary.BigEndian.Uint32(sum[4:])
	c, d := binary.BigEndian.Uint32(sum[8:]), binary.BigEndian.Uint32(sum[12:])
	binary.BigEndian.PutUint32(id[0:], a)
	binary.BigEndian.PutUint32(id[4:], b&^0xf000|0x5000)
	binary.BigEndian.PutUint32(id[8:], c&^(3<<30)|2<<30)
	binary.BigEndian.PutUint32(id[12:], d)
	return id
}

// padded returns b as SHA-1 pads it to whole blocks: by a bit, zeros, and the
// number of bits.
func padded(b []byte) []byte {
	n := len(b)
	b = append(b, padding[:1+(sha1.BlockSize-9-n)&(sha1.BlockSize-1)]...)
	return binary.BigEndian.AppendUint64(b, uint64(n)*8)
}

var padding = [sha1.BlockSize]byte{0x80}

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
	revised := idsIn(id)
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
