package jobs

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// loadSuppressed reads the job's list of customers of whom nothing is sent: an
// id a line, or sha256: and the hash of an id in hex. Empty lines and those
// that begin with # are left out. It returns nil if the job has no list.
func loadSuppressed(s *Spec) (func(id string) bool, error) {
	if s.Conversation.Suppress == "" {
		return nil, nil
	}
	path := s.Path(s.Conversation.Suppress)
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{Exit: ExitUsage, Err: fmt.Errorf("read the suppress list: %w", err), Try: "set conversation.suppress to a file with an id a line"}
	}
	defer f.Close()
	hashes := make(map[[sha256.Size]byte]bool)
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		hash, err := suppressedHash(line)
		if err != nil {
			return nil, &Error{Exit: ExitUsage, Err: fmt.Errorf("read the suppress list: %s:%d: %w", path, n, err), Try: "sha256: and 64 hex digits, or the id itself"}
		}
		hashes[hash] = true
	}
	if err := lines.Err(); err != nil {
		return nil, &Error{Exit: ExitUsage, Err: fmt.Errorf("read the suppress list %s: %w", path, err), Try: "a text file with an id a line"}
	}
	return func(id string) bool { return hashes[sha256.Sum256([]byte(id))] }, nil
}

func suppressedHash(line string) (hash [sha256.Size]byte, err error) {
	digits, hashed := strings.CutPrefix(line, "sha256:")
	if !hashed {
		return sha256.Sum256([]byte(line)), nil
	}
	n, err := hex.Decode(hash[:], []byte(digits[:min(len(digits), 2*sha256.Size)]))
	if err != nil || n != sha256.Size || len(digits) != 2*sha256.Size {
		return hash, fmt.Errorf("it is no SHA-256 hash")
	}
	return hash, nil
}
