package extract

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
)

// pgIDList is a list of conversation ids that is made once and read once. What
// does not fit into a block is kept in a private temporary file.
type pgIDList struct {
	spill   *spillFile
	made    bool
	extents []extent
	tail    []byte // the block that is not in the file
	n       int    // ids
}

// listBlock is how many bytes of ids are kept in memory.
const listBlock = 256 << 10

// make lists the ids that a pass looks at. It may be called again.
func (l *pgIDList) make(ctx context.Context, tx *pgTransaction, p *PostgresPass, after *string) error {
	l.extents, l.tail, l.n = nil, nil, 0
	from := ""
	if after != nil {
		from = *after
	}
	err := tx.rows(ctx, listIDs(p.relations(), p, from), nil, anyFields, func(values [][]byte) error { return l.append(values[0]) })
	if isSchema(err) {
		err = &SchemaChanged{Set: "conversation_id", Err: err}
	}
	return err
}

func (l *pgIDList) append(id []byte) error {
	if len(l.tail)+len(id) > listBlock && len(l.tail) > 0 {
		x, err := l.spill.write(l.tail)
		if err != nil {
			return l.fault(err)
		}
		l.extents, l.tail = append(l.extents, x), l.tail[:0]
	}
	l.tail = append(binary.AppendUvarint(l.tail, uint64(len(id))), id...)
	l.n++
	return nil
}

// next returns the ids of the next block; io.EOF with the last one.
func (l *pgIDList) next() ([]string, error) {
	block, end := l.tail, io.EOF
	if len(l.extents) > 0 {
		var err error
		if block, err = l.spill.read(l.extents[0]); err != nil {
			return nil, l.fault(err)
		}
		l.extents, end = l.extents[1:], nil
	}
	var ids []string
	for text := string(block); text != ""; {
		size, n := binary.Uvarint([]byte(text[:min(len(text), binary.MaxVarintLen64)]))
		ids = append(ids, text[n:n+int(size)])
		text = text[n+int(size):]
	}
	return ids, end
}

// fault says what helps a Postgres source that cannot keep its list.
func (l *pgIDList) fault(err error) error {
	var spillErr *SpillError
	if errors.As(err, &spillErr) {
		spillErr.Try = "make room there, or set TMPDIR to a folder with more room"
	}
	return err
}

func (l *pgIDList) close() error {
	l.made, l.extents, l.tail = true, nil, nil
	return l.spill.close()
}
