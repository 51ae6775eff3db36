package extract

import (
	"errors"
	"io"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// TestPanicsOfReading: a panic in a goroutine that reads is the error of the
// page that was asked for.
func TestPanicsOfReading(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	writeParquet(t, filepath.Join(dir, "m.parquet"), plainFields,
		`[{"conversation_id": "a", "message_id": "1", "sent_at": "2024-03-01", "role": "customer"}]`, 1)
	for name, broken := range map[string]func(p *Parquet, r *Reader){
		"of files": func(p *Parquet, r *Reader) {
			p.messages = append(p.messages, &parquetFile{groups: []int64{1}, label: "messages", mapping: &Mapping{}})
		},
		"of partitions": func(p *Parquet, r *Reader) { r.pending = []pendingPartition{{}, {}} },
	} {
		p := mustOpen(t, testConfig(dir, "m.parquet"))
		r, err := p.Transcripts(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		broken(p, r)
		for err == nil {
			_, err = r.Next(t.Context())
		}
		var panicked *Panic
		if !errors.As(err, &panicked) || err == io.EOF {
			t.Errorf("%s: %v", name, err)
		}
		if err := errors.Join(r.Close(), p.Close()); err != nil {
			t.Error(err)
		}
	}
}
