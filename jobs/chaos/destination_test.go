package chaos

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// intoFile lets the job write a file, or a folder of Parquet files, instead of
// sending to Segment. That is before its first run.
func (r *rig) intoFile(path string) {
	r.file = filepath.Join(r.dir, path)
	r.settings["destination"] = "{file: {path: " + path + ", source: test}}"
	r.write()
}

// delivered are the events that the destination has.
func (r *rig) delivered() map[string]segmenttest.Event {
	r.Helper()
	switch filepath.Ext(r.file) {
	case "":
		return r.server.Accepted()
	case ".parquet":
		return r.inParts()
	}
	return r.inLines()
}

// inLines are the events in a file, a line each.
func (r *rig) inLines() map[string]segmenttest.Event {
	r.Helper()
	data, err := os.ReadFile(r.file)
	if err != nil {
		r.Fatal(err)
	}
	found := make(map[string]segmenttest.Event)
	for line := range bytes.Lines(data) {
		var head struct{ MessageID string }
		if err := json.Unmarshal(line, &head); err != nil {
			r.Fatalf("%s: %v: %s", r.file, err, line)
		}
		r.put(found, head.MessageID, bytes.TrimSuffix(line, []byte("\n")))
	}
	return found
}

// inParts are the ids in a folder of Parquet files, with what is expected of
// them: the content of the columns is what other tests are about.
func (r *rig) inParts() map[string]segmenttest.Event {
	r.Helper()
	parts, err := filepath.Glob(filepath.Join(r.file, "*.parquet"))
	if err != nil {
		r.Fatal(err)
	}
	found := make(map[string]segmenttest.Event)
	for _, part := range parts {
		for _, id := range r.idsIn(part) {
			r.put(found, id, r.oracle.expected[id])
		}
	}
	return found
}

func (r *rig) put(found map[string]segmenttest.Event, id string, content []byte) {
	r.Helper()
	if _, twice := found[id]; twice {
		r.Errorf("event %s is in %s twice", id, r.file)
	}
	found[id] = segmenttest.Event{ID: id, JSON: content}
}

// idsIn reads the column of ids with another library than the program's.
func (r *rig) idsIn(part string) (ids []string) {
	r.Helper()
	f, err := file.OpenParquetFile(part, false)
	if err != nil {
		r.Fatal(err)
	}
	defer f.Close()
	reader, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		r.Fatal(err)
	}
	table, err := reader.ReadTable(r.Context())
	if err != nil {
		r.Fatalf("%s: %v", part, err)
	}
	defer table.Release()
	for _, chunk := range table.Column(0).Data().Chunks() {
		column := chunk.(*array.String)
		for i := range column.Len() {
			ids = append(ids, column.Value(i))
		}
	}
	return ids
}
