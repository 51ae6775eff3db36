package extract

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// point is where a conversation lies in the order of a Parquet source: by the
// hash of its id, then by the id. It depends neither on the number of
// partitions nor on how rows are spread over files. The rows without a
// conversation come first.
type point struct {
	hash uint64
	id   string
}

func pointOf(conversationID string) point {
	if conversationID == "" {
		return point{}
	}
	return point{xxhash.Sum64String(conversationID), conversationID}
}

func (p point) compare(q point) int {
	switch {
	case p.hash < q.hash:
		return -1
	case p.hash > q.hash:
		return +1
	}
	return strings.Compare(p.id, q.id)
}

// positionVersion starts every position, so that a later format can tell.
const positionVersion = "h1"

// position prints p: the version, the hash in 16 hex digits, the id in hex.
func (p point) position() Position {
	return Position(fmt.Sprintf("%s-%016x-%s", positionVersion, p.hash, hex.EncodeToString([]byte(p.id))))
}

func parsePosition(pos Position) (point, error) {
	version, rest, _ := strings.Cut(string(pos), "-")
	hashText, idText, _ := strings.Cut(rest, "-")
	hash, err := strconv.ParseUint(hashText, 16, 64)
	id, hexErr := hex.DecodeString(idText)
	p := point{hash, string(id)}
	if version != positionVersion || err != nil || hexErr != nil || p.position() != pos {
		return point{}, fmt.Errorf("parse position %q: not one of a Parquet source of this version", pos)
	}
	return p, nil
}
