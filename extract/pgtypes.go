package extract

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// Formats in which Postgres sends a value.
const (
	pgTextFormat   int16 = 0
	pgBinaryFormat int16 = 1
)

// pgDecoder reads a value that is not NULL; false if it has the wrong size. It
// keeps what it needs of b in the arena.
type pgDecoder func(b []byte, arena *Scratch) (Value, bool)

// pgCodec is how values of a type are sent and read.
type pgCodec struct {
	typ    Type
	format int16
	decode pgDecoder
}

// pgCodecs are the types that are not simply read as text.
var pgCodecs = map[uint32]pgCodec{
	pgtype.BoolOID:        {TypeBool, pgBinaryFormat, decodeBool},
	pgtype.Int2OID:        {TypeInt, pgBinaryFormat, decodeInt2},
	pgtype.Int4OID:        {TypeInt, pgBinaryFormat, decodeInt4},
	pgtype.Int8OID:        {TypeInt, pgBinaryFormat, decodeInt8},
	pgtype.OIDOID:         {TypeInt, pgBinaryFormat, decodeOID},
	pgtype.Float4OID:      {TypeFloat, pgBinaryFormat, decodeFloat4},
	pgtype.Float8OID:      {TypeFloat, pgBinaryFormat, decodeFloat8},
	pgtype.NumericOID:     {TypeDecimal, pgTextFormat, decodeNumeric},
	pgtype.UUIDOID:        {TypeUUID, pgBinaryFormat, decodeUUID},
	pgtype.ByteaOID:       {TypeBinary, pgBinaryFormat, decodeBytea},
	pgtype.TimestamptzOID: {TypeInstant, pgBinaryFormat, decodeInstant},
	pgtype.TimestampOID:   {TypeWallTime, pgBinaryFormat, decodeWallTime},
	pgtype.DateOID:        {TypeDate, pgBinaryFormat, decodeDate},
	pgtype.BPCharOID:      {TypeText, pgTextFormat, decodePadded},
}

// pgTextCodec reads a type by its output function, as psql shows it.
var pgTextCodec = pgCodec{TypeText, pgTextFormat, decodeText}

// keep copies b into the arena, from which the texts of a page's messages are.
func (s *Scratch) keep(b []byte) string {
	start := len(s.buf)
	s.buf = append(s.buf, b...)
	return stringOf(s.buf[start:])
}

// reserve makes room for n bytes, so that nothing kept so far is copied.
func (s *Scratch) reserve(n int) {
	if cap(s.buf)-len(s.buf) < n {
		s.buf = make([]byte, 0, max(n, arenaBlock))
	}
}

const arenaBlock = 256 << 10

// pgNestedCodec reads the JSON of an array or a row.
var pgNestedCodec = pgCodec{TypeOther, pgTextFormat, decodeNested}

func decodeNested(b []byte, arena *Scratch) (Value, bool) {
	return Value{Type: TypeOther, Str: arena.keep(b)}, true
}

func decodeText(b []byte, arena *Scratch) (Value, bool) { return textValue(arena.keep(b)), true }

// decodePadded drops the blanks that char(n) adds, which mean nothing to
// Postgres either.
func decodePadded(b []byte, arena *Scratch) (Value, bool) {
	return textValue(strings.TrimRight(arena.keep(b), " ")), true
}

func decodeBool(b []byte, _ *Scratch) (Value, bool) {
	if len(b) != 1 {
		return Value{}, false
	}
	return boolValue(b[0] != 0), true
}

func decodeInt2(b []byte, _ *Scratch) (Value, bool) {
	if len(b) != 2 {
		return Value{}, false
	}
	return Value{Type: TypeInt, Int: int64(int16(binary.BigEndian.Uint16(b)))}, true
}

func decodeInt4(b []byte, _ *Scratch) (Value, bool) {
	if len(b) != 4 {
		return Value{}, false
	}
	return Value{Type: TypeInt, Int: int64(int32(binary.BigEndian.Uint32(b)))}, true
}

func decodeOID(b []byte, _ *Scratch) (Value, bool) {
	if len(b) != 4 {
		return Value{}, false
	}
	return Value{Type: TypeInt, Int: int64(binary.BigEndian.Uint32(b))}, true
}

func decodeInt8(b []byte, _ *Scratch) (Value, bool) {
	if len(b) != 8 {
		return Value{}, false
	}
	return Value{Type: TypeInt, Int: int64(binary.BigEndian.Uint64(b))}, true
}

func decodeFloat4(b []byte, _ *Scratch) (Value, bool) {
	if len(b) != 4 {
		return Value{}, false
	}
	return float32Value(math.Float32frombits(binary.BigEndian.Uint32(b))), true
}

func decodeFloat8(b []byte, _ *Scratch) (Value, bool) {
	if len(b) != 8 {
		return Value{}, false
	}
	return floatValue(math.Float64frombits(binary.BigEndian.Uint64(b))), true
}

func decodeNumeric(b []byte, arena *Scratch) (Value, bool) {
	switch string(b) {
	case "NaN":
		return floatValue(math.NaN()), true
	case "Infinity":
		return floatValue(math.Inf(1)), true
	case "-Infinity":
		return floatValue(math.Inf(-1)), true
	}
	text := arena.keep(b)
	if strings.IndexByte(text, '.') >= 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return Value{Type: TypeDecimal, Str: text}, true
}

func decodeUUID(b []byte, arena *Scratch) (Value, bool) {
	return Value{Type: TypeUUID, Str: arena.keep(b)}, len(b) == 16
}

func decodeBytea(b []byte, arena *Scratch) (Value, bool) {
	return Value{Type: TypeBinary, Str: arena.keep(b)}, true
}

// pgEpoch is when Postgres begins to count: 2000-01-01, in Unix seconds.
const pgEpoch = 946684800

func decodeInstant(b []byte, _ *Scratch) (Value, bool)  { return decodeTime(b, TypeInstant) }
func decodeWallTime(b []byte, _ *Scratch) (Value, bool) { return decodeTime(b, TypeWallTime) }

func decodeTime(b []byte, t Type) (Value, bool) {
	if len(b) != 8 {
		return Value{}, false
	}
	micros := int64(binary.BigEndian.Uint64(b))
	if micros == math.MaxInt64 || micros == math.MinInt64 { // infinity and -infinity
		return Value{Type: t, Int: micros}, true
	}
	sec, nsec := splitUnits(micros, 1e6)
	return Value{Type: t, Int: int64(clampTime(sec+pgEpoch, nsec))}, true
}

func decodeDate(b []byte, _ *Scratch) (Value, bool) {
	if len(b) != 4 {
		return Value{}, false
	}
	days := int32(binary.BigEndian.Uint32(b))
	switch days {
	case math.MaxInt32:
		return Value{Type: TypeInstant, Int: Infinity}, true
	case math.MinInt32:
		return Value{Type: TypeInstant, Int: NegativeInfinity}, true
	}
	return Value{Type: TypeDate, Int: int64(days) + pgEpoch/secondsPerDay}, true
}
