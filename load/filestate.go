package load

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// fileState is what a checkpoint keeps of the destination's file.
type fileState struct {
	Format int    `json:"format"`
	Length int64  `json:"length"` // bytes
	Tail   string `json:"tail"`   // SHA-256 of the last of them, up to tailBytes
}

const (
	fileStateFormat = 1
	tailBytes       = 4096
)

func newFileState() fileState {
	sum := sha256.Sum256(nil)
	return fileState{Format: fileStateFormat, Tail: hex.EncodeToString(sum[:])}
}

// stateAt returns the state of a file whose first length bytes count.
func stateAt(file io.ReaderAt, length int64) (fileState, error) {
	tail := make([]byte, min(length, tailBytes))
	if _, err := file.ReadAt(tail, length-int64(len(tail))); err != nil {
		return fileState{}, err
	}
	sum := sha256.Sum256(tail)
	return fileState{Format: fileStateFormat, Length: length, Tail: hex.EncodeToString(sum[:])}, nil
}

func (s fileState) encode() json.RawMessage {
	encoded, err := json.Marshal(s)
	if err != nil {
		panic(err) // a struct of numbers and a string
	}
	return encoded
}

func parseFileState(path string, state json.RawMessage) (fileState, error) {
	if state == nil {
		return newFileState(), nil
	}
	var s fileState
	if err := json.Unmarshal(state, &s); err != nil {
		return s, fmt.Errorf("read the recorded state of %s: %w", path, err)
	}
	if s.Format < 1 || s.Format > fileStateFormat || s.Length < 0 {
		return s, &Refused{
			Problem: fmt.Sprintf("read the recorded state of %s: format %d is unknown to this version", path, s.Format),
			Advice:  "use the version of chatbackfill that wrote it, or a newer one",
		}
	}
	return s, nil
}
