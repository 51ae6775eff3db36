package chaos

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// positionOf is where the source is read next after a chat, as checkpoints have
// it: in Postgres by the chat's id, in files by a hash of it.
func (r *rig) positionOf(chat string) string {
	text := hex.EncodeToString([]byte(chat))
	if r.combination.source == inPostgres {
		return "p1-" + text
	}
	return fmt.Sprintf("h1-%016x-%s", xxhash.Sum64String(chat), text)
}

// before reports whether position a is before position b. The empty one is
// before all others.
func before(a, b string) bool { return comparableText(a) < comparableText(b) }

// comparableText leaves the name of the order out of a position in Postgres, which
// is the same in all.
func comparableText(position string) string {
	if parts := strings.Split(position, "-"); len(parts) == 3 && parts[0] == "p1" {
		return "p1-" + parts[2]
	}
	return position
}
