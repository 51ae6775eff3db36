package jobs

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// subject is how the suppress lists name a customer or a conversation: they hold
// hashes, so that the list of those who want to be forgotten is not one of who
// they are.
type subject [sha256.Size]byte

func subjectOf(id string) subject { return sha256.Sum256([]byte(id)) }

// suppressed returns what reports whether nothing may be sent of a customer or a
// conversation: the store's list says so, or the job's file. It is nil if both
// are empty.
func (j *JobState) suppressed(ctx context.Context, s *Spec) (func(id string) bool, error) {
	listed, err := loadSuppressed(s)
	if err != nil {
		return nil, err
	}
	if err := j.readSuppressed(ctx, listed); err != nil {
		return nil, fmt.Errorf("read the suppress list of job %s: %w", j.Name, err)
	}
	if len(listed) == 0 {
		return nil, nil
	}
	return func(id string) bool { return listed[subjectOf(id)] }, nil
}

func (j *JobState) readSuppressed(ctx context.Context, listed map[subject]bool) error {
	hashes, err := queryColumn[[]byte](ctx, j.State, `SELECT subject FROM suppressed WHERE name = $1`, j.Name)
	if err != nil {
		return err
	}
	for _, hash := range hashes {
		if len(hash) != sha256.Size {
			return fmt.Errorf("an entry of %d bytes is no SHA-256 hash", len(hash))
		}
		listed[subject(hash)] = true
	}
	return nil
}

// loadSuppressed reads the job's list of customers of whom nothing is sent: an
// id a line, or sha256: and the hash of an id in hex. Empty lines and those
// that begin with # are left out. It is empty if the job has no list.
func loadSuppressed(s *Spec) (map[subject]bool, error) {
	hashes := make(map[subject]bool)
	if s.Conversation.Suppress == "" {
		return hashes, nil
	}
	path := s.Path(s.Conversation.Suppress)
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{Exit: ExitUsage, Err: fmt.Errorf("read the suppress list: %w", err), Try: "set conversation.suppress to a file with an id a line"}
	}
	defer f.Close()
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
	return hashes, nil
}

func suppressedHash(line string) (hash subject, err error) {
	digits, hashed := strings.CutPrefix(line, "sha256:")
	if !hashed {
		return subjectOf(line), nil
	}
	n, err := hex.Decode(hash[:], []byte(digits[:min(len(digits), 2*sha256.Size)]))
	if err != nil || n != sha256.Size || len(digits) != 2*sha256.Size {
		return hash, fmt.Errorf("it is no SHA-256 hash")
	}
	return hash, nil
}
