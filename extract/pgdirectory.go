package extract

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Directory reads the directory of agents as [Parquet.Directory] does. Rows
// that cannot be read are left out; see [Postgres.DirectoryRejects].
func (p *Postgres) Directory(ctx context.Context) (map[string]DirectoryAgent, error) {
	d := directory{agents: map[string]DirectoryAgent{}, keepPayload: p.cfg.KeepPayload}
	for _, r := range p.agents {
		before := d.rejects
		err := p.readAll(ctx, r, func(s *Scratch) elementFunc {
			d.rejects = before // it may be the second time
			return func(row []Value, element int, bad *problem) error {
				reject, a := d.agent(r.mapping, row, s, bad)
				switch {
				case reject != nil:
					r.locate(reject, row, element)
					if d.keepPayload {
						reject.Payload = r.mapping.payloadOf(row, s)
					}
					d.rejects = append(d.rejects, *reject)
				case a.ID != "":
					d.add(a)
				}
				return nil
			}
		})
		if err != nil {
			return nil, err
		}
	}
	p.rejects = d.rejects
	return d.agents, nil
}

// DirectoryRejects are the rows that Directory left out when it was called last.
func (p *Postgres) DirectoryRejects() []Reject { return p.rejects }

// readAll reads a whole relation. What begin returns gets the opened rows; if
// reading fails for a while, begin is called again and all rows come again.
func (p *Postgres) readAll(ctx context.Context, r *pgRelation, begin func(s *Scratch) elementFunc) error {
	err := p.retry(ctx, r.label, func() error {
		return p.inTransaction(ctx, listTimeout, func(tx *pgTransaction) error {
			var s Scratch
			each := begin(&s)
			return r.read(ctx, tx, r.allRows(), &s, func(row []Value, _ bool) error {
				err := r.mapping.unfold(row, &s, each)
				s.Reset()
				return err
			})
		})
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", r.label, err)
	}
	return nil
}

// read calls each with the rows of a statement, as values in the order of the
// mapping's columns, and whether Postgres found that the where leaves the row
// out. Texts are in the arena. A result that is not what it was when the source
// was opened is a [SchemaChanged].
func (r *pgRelation) read(ctx context.Context, tx *pgTransaction, s *pgStatement, arena *Scratch, each func(row []Value, leftOut bool) error) error {
	formats := make([]int16, len(r.selected), len(r.selected)+1)
	for i, col := range r.selected {
		formats[i] = col.format
	}
	if r.judged {
		formats = append(formats, pgBinaryFormat)
	}
	row := make([]Value, len(r.selected))
	err := tx.rows(ctx, s, formats, r.sameFields, func(values [][]byte) error {
		if err := r.decode(values, arena, row); err != nil {
			return err
		}
		return each(row, r.judged && values[len(row)][0] == 0)
	})
	if isSchema(err) {
		return &SchemaChanged{Set: r.label, Err: err}
	}
	return err
}

func (r *pgRelation) sameFields(fields []pgconn.FieldDescription) error {
	for i, col := range r.selected {
		if i >= len(fields) || fields[i].DataTypeOID != col.resultOID() {
			return &SchemaChanged{Set: r.label, Err: fmt.Errorf("column %s is no longer of type %s", col.Name, col.typeName)}
		}
	}
	return nil
}

func (r *pgRelation) decode(values [][]byte, arena *Scratch, row []Value) error {
	size := 0
	for _, b := range values {
		size += len(b)
	}
	arena.reserve(size + rowTexts)
	for i, col := range r.selected {
		row[i] = Value{}
		if values[i] == nil {
			continue
		}
		var ok bool
		if row[i], ok = col.decode(values[i], arena); !ok {
			return fmt.Errorf("read column %s of %s: %d bytes are no %s", col.Name, r.name, len(values[i]), col.typeName)
		}
		if col.hasRows {
			if name, ok := col.shape.gone(row[i].Str, arena); ok {
				return &SchemaChanged{Set: r.label, Err: fmt.Errorf("the rows in column %s no longer have the attribute %s", col.Name, name)}
			}
		}
	}
	return nil
}

// rowTexts is room for the texts that mapping a row makes of numbers and UUIDs.
const rowTexts = 256
