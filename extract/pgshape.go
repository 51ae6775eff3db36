package extract

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// pgTypeInfo is what the catalogue says of a type.
type pgTypeInfo struct {
	OID            uint32
	Name           string
	Kind, Category string
	Of             uint32 // of what it is an array or a domain; else 0
	Relation       uint32 // that has a row type's attributes; else 0
}

// hasParts reports whether values are arrays or rows, also such whose type is
// not known.
func (t *pgTypeInfo) hasParts() bool {
	return t.Category == "A" || t.Kind == "c" || t.OID == pgtype.RecordOID || t.OID == pgtype.RecordArrayOID
}

const typesQuery = `
SELECT oid, format_type(oid, NULL), typtype::text, typcategory::text,
  CASE WHEN typtype = 'd' THEN typbasetype WHEN typcategory = 'A' THEN typelem ELSE 0 END::oid, typrelid
FROM pg_type WHERE oid = ANY ($1)`

func (tx *pgTransaction) types(ctx context.Context, oids []uint32) (map[uint32]pgTypeInfo, error) {
	rows, err := tx.Query(ctx, typesQuery, oids)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pgTypeInfo])
	types := make(map[uint32]pgTypeInfo, len(found))
	for _, t := range found {
		types[t.OID] = t
	}
	return types, err
}

// shape is what the JSON of a type's values looks like.
func (tx *pgTransaction) shape(ctx context.Context, t pgTypeInfo) (*shape, error) {
	switch {
	case t.Of != 0:
		types, err := tx.types(ctx, []uint32{t.Of})
		if err != nil {
			return nil, err
		}
		s, err := tx.shape(ctx, types[t.Of])
		if t.Kind == "d" || err != nil {
			return s, err
		}
		return &shape{typ: TypeOther, declared: t.Name, elem: s}, nil
	case t.Relation != 0:
		return tx.rowShape(ctx, t)
	}
	leaf := &shape{typ: TypeText, declared: t.Name} // or JSON, into which paths lead
	if codec, ok := pgCodecs[t.OID]; ok && codec.typ != TypeBinary && codec.typ != TypeUUID {
		leaf.typ = codec.typ
	}
	return leaf, nil
}

const attributesQuery = `
SELECT attname, atttypid FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum`

func (tx *pgTransaction) rowShape(ctx context.Context, t pgTypeInfo) (*shape, error) {
	s := &shape{typ: TypeOther, declared: t.Name, names: []string{}}
	rows, err := tx.Query(ctx, attributesQuery, t.Relation)
	if err != nil {
		return nil, err
	}
	var oids []uint32
	var name string
	var oid uint32
	_, err = pgx.ForEachRow(rows, []any{&name, &oid}, func() error {
		s.names, oids = append(s.names, name), append(oids, oid)
		return nil
	})
	if err != nil {
		return nil, err
	}
	types, err := tx.types(ctx, oids)
	for _, oid := range oids {
		var member *shape
		if err == nil {
			member, err = tx.shape(ctx, types[oid])
		}
		s.members = append(s.members, member)
	}
	return s, err
}

// hasRows reports whether values are rows, or have such as parts.
func (s *shape) hasRows() bool {
	return s.isStruct() || s.elem != nil && s.elem.hasRows()
}

// gone returns an attribute that the rows in a value, as JSON, had when the
// shape was made and do not have any more. JSON shows all attributes, NULL too,
// in their order; new ones come last.
func (s *shape) gone(text string, scratch *Scratch) (name string, ok bool) {
	switch {
	case text == "":
		return "", false
	case text[0] == '[' && s.elem != nil:
		return s.goneOfList(text, scratch)
	case text[0] == '{' && s.isStruct():
		return s.goneOfRow(text, scratch)
	}
	return "", false
}

func (s *shape) goneOfList(text string, scratch *Scratch) (name string, ok bool) {
	at, more := nextItem(text, 1)
	for more {
		end, elem := skipValue(text, at), s.elem
		if text[at] == '[' { // a further dimension, which the type does not tell
			elem = s
		}
		if name, ok := elem.gone(text[at:end], scratch); ok {
			return name, true
		}
		at, more = nextItem(text, end)
	}
	return "", false
}

func (s *shape) goneOfRow(text string, scratch *Scratch) (name string, ok bool) {
	found := 0
	at, more := nextItem(text, 1)
	for more && found < len(s.names) {
		key, value := memberValue(text, at, scratch)
		end := skipValue(text, value)
		if key == s.names[found] {
			if name, ok := s.members[found].gone(text[value:end], scratch); ok {
				return name, true
			}
			found++
		}
		at, more = nextItem(text, end)
	}
	if found < len(s.names) {
		return s.names[found], true
	}
	return "", false
}
