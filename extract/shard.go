package extract

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
)

// Shard is one of several parts of a source, by conversation. The zero Shard is
// the whole source.
type Shard struct {
	Index int // from 0
	Of    int // how many there are; 0: the source is not divided
}

// Has reports whether a conversation is in the shard: the first 8 hex digits of
// the MD5 of its id, taken as a number, leave Index when divided by Of. In
// Postgres that is what where says.
func (s Shard) Has(conversationID string) bool {
	if s.Of <= 1 {
		return true
	}
	if conversationID == "" {
		// Rows of no conversation are read by one shard.
		return s.Index == 0
	}
	sum := md5.Sum([]byte(conversationID))
	return binary.BigEndian.Uint32(sum[:])%uint32(s.Of) == uint32(s.Index)
}

// where is the condition in SQL that is true of a shard's conversations.
func (s Shard) where(id, encoding string) string {
	if encoding != "UTF8" && encoding != "SQL_ASCII" {
		id = "convert_to(" + id + ", 'UTF8')"
	}
	return fmt.Sprintf("('x' || substr(md5(%s), 1, 8))::bit(32)::int8 %% %d = %d", id, s.Of, s.Index)
}
