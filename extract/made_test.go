package extract

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"testing"

	"github.com/apache/thrift/lib/go/thrift"
	format "github.com/xitongsys/parquet-go/parquet"
)

// madeFile is a Parquet file made by hand, of one column and one row group: with
// what no writer at hand writes, and what no honest one would.
type madeFile struct {
	column *format.SchemaElement
	codec  format.CompressionCodec
	rows   int64
	pages  []madePage
	edit   func(footer []byte) []byte // nil: it stays
}

// madePage is a page as it stands in the file.
type madePage struct {
	header *format.PageHeader
	body   []byte
}

func required(name string, physical format.Type) *format.SchemaElement {
	return &format.SchemaElement{Name: name, Type: &physical, RepetitionType: format.FieldRepetitionTypePtr(format.FieldRepetitionType_REQUIRED)}
}

// plainPage is a data page of values that are encoded one after the other.
func plainPage(values int32, uncompressed int, body []byte) madePage {
	return madePage{&format.PageHeader{
		Type: format.PageType_DATA_PAGE, UncompressedPageSize: int32(uncompressed), CompressedPageSize: int32(len(body)),
		DataPageHeader: &format.DataPageHeader{
			NumValues: values, Encoding: format.Encoding_PLAIN,
			DefinitionLevelEncoding: format.Encoding_RLE, RepetitionLevelEncoding: format.Encoding_RLE,
		},
	}, body}
}

func (m *madeFile) write(t *testing.T, path string) {
	t.Helper()
	file := []byte(magic)
	for _, p := range m.pages {
		file = append(append(file, compact(t, p.header)...), p.body...)
	}
	size := int64(len(file) - len(magic))
	footer := compact(t, &format.FileMetaData{
		Version: 1, NumRows: m.rows,
		Schema: []*format.SchemaElement{{Name: "schema", NumChildren: ptr(int32(1))}, m.column},
		RowGroups: []*format.RowGroup{{NumRows: m.rows, TotalByteSize: size, Columns: []*format.ColumnChunk{{
			FileOffset: int64(len(magic)),
			MetaData: &format.ColumnMetaData{
				Type: m.column.GetType(), Encodings: []format.Encoding{format.Encoding_PLAIN}, PathInSchema: []string{m.column.Name},
				Codec: m.codec, NumValues: m.rows, TotalUncompressedSize: size, TotalCompressedSize: size, DataPageOffset: int64(len(magic)),
			},
		}}}},
	})
	if m.edit != nil {
		footer = m.edit(footer)
	}
	writeFooter(t, path, file, footer)
}

// writeFooter writes a file that ends with a footer.
func writeFooter(t *testing.T, path string, data, footer []byte) {
	t.Helper()
	data = append(data, footer...)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(footer)))
	if err := os.WriteFile(path, append(data, magic...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// compact encodes in Thrift's compact protocol.
func compact(t *testing.T, s thrift.TStruct) []byte {
	t.Helper()
	var out bytes.Buffer
	p := thrift.NewTCompactProtocolConf(thrift.NewStreamTransportW(&out), nil)
	if err := s.Write(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
