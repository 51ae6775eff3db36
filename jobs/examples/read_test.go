package examples

import (
	"bytes"
	"os"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func written(t testing.TB, conversations int, seed uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, conversations, seed, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func writtenAgents(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteAgents(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// batches calls do with each batch of a Parquet file's rows, as arrow-go reads
// them.
func batches(t testing.TB, data []byte, do func(columns)) {
	t.Helper()
	pf, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: 4096}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := fr.ReadTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	tr := array.NewTableReader(table, 4096)
	defer tr.Release()
	for tr.Next() {
		do(columns{t, tr.RecordBatch()})
	}
	if err := tr.Err(); err != nil {
		t.Fatal(err)
	}
}

// columns are the columns of a batch by name.
type columns struct {
	t     testing.TB
	batch arrow.RecordBatch
}

func column[A arrow.Array](c columns, name string) A {
	c.t.Helper()
	found := c.batch.Schema().FieldIndices(name)
	if len(found) != 1 {
		c.t.Fatalf("column %s: found %d times", name, len(found))
	}
	a, ok := c.batch.Column(found[0]).(A)
	if !ok {
		c.t.Fatalf("column %s is %T", name, c.batch.Column(found[0]))
	}
	return a
}

func (c columns) text(name string, row int) *string {
	a := column[*array.String](c, name)
	if a.IsNull(row) {
		return nil
	}
	s := a.Value(row)
	return &s
}

func (c columns) time(name string, row int) *int64 {
	a := column[*array.Timestamp](c, name)
	if want := arrow.FixedWidthTypes.Timestamp_ms; !arrow.TypeEqual(a.DataType(), want) {
		c.t.Fatalf("column %s is %s, want %s", name, a.DataType(), want)
	}
	if a.IsNull(row) {
		return nil
	}
	ms := int64(a.Value(row))
	return &ms
}

func readRows(t testing.TB, data []byte) []record {
	t.Helper()
	var read []record
	batches(t, data, func(c columns) {
		for i := range int(c.batch.NumRows()) {
			read = append(read, record{
				ChatID:         column[*array.Int64](c, "chat_id").Value(i),
				ID:             column[*array.Int64](c, "id").Value(i),
				Seq:            column[*array.Int32](c, "seq").Value(i),
				CreatedAt:      c.time("created_at", i),
				InsertedAt:     *c.time("inserted_at", i),
				AuthorType:     *c.text("author_type", i),
				AuthorID:       c.text("author_id", i),
				AuthorName:     c.text("author_name", i),
				AuthorLogin:    c.text("author_login", i),
				PartType:       *c.text("part_type", i),
				AssignedToID:   c.text("assigned_to_id", i),
				AssignedToName: c.text("assigned_to_name", i),
				Body:           c.text("body", i),
				ContactID:      c.text("contact_id", i),
				VisitorID:      c.text("visitor_id", i),
				IsDeleted:      column[*array.Boolean](c, "is_deleted").Value(i),
			})
		}
	})
	return read
}

// directory is what agents.parquet says: id, name and login of each agent.
func directory() [][3]string {
	var all [][3]string
	for _, a := range agents {
		all = append(all, [3]string{a.ID, a.FullName, a.Login})
	}
	return all
}

func readDirectory(t testing.TB, data []byte) [][3]string {
	t.Helper()
	var read [][3]string
	batches(t, data, func(c columns) {
		for i := range int(c.batch.NumRows()) {
			read = append(read, [3]string{*c.text("id", i), *c.text("full_name", i), *c.text("login", i)})
		}
	})
	return read
}
