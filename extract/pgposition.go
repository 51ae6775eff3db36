package extract

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// pgPositionVersion starts every position, so that a later format can tell.
const pgPositionVersion = "p1"

// PositionError is a position in another order of the conversations than the
// one the pass would go through them in. The pass has to be read from its start.
type PositionError struct {
	Position Position
	Problem  string
}

func (e *PositionError) Error() string {
	return fmt.Sprintf("go on at position %q: %s", e.Position, e.Problem)
}

// pgOrder names an order of conversations. It becomes part of positions.
func pgOrder(family string) string {
	if family == "" {
		return "bytes"
	}
	return fmt.Sprintf("%08x", uint32(xxhash.Sum64String(family)))
}

// After is the position after a conversation, from which
// [PostgresPass.Transcripts] goes on with the next one. After no conversation
// is after the rows that belong to none.
func (p *PostgresPass) After(conversationID string) Position {
	return Position(pgPositionVersion + "-" + pgOrder(p.family) + "-" + hex.EncodeToString([]byte(conversationID)))
}

// parse returns the id of the conversation that a position is after.
func (p *PostgresPass) parse(pos Position) (string, error) {
	version, rest, _ := strings.Cut(string(pos), "-")
	order, idText, _ := strings.Cut(rest, "-")
	id, err := hex.DecodeString(idText)
	switch {
	case version != pgPositionVersion || err != nil || p.After(string(id)) != pos && order == pgOrder(p.family):
		return "", &PositionError{pos, "it is not one of a Postgres source of this version"}
	case order != pgOrder(p.family):
		return "", &PositionError{pos, "the order of the conversations is another one since it was made"}
	}
	return string(id), nil
}
