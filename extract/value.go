package extract

import (
	"encoding/hex"
	"math"
	"strconv"
	"time"
	"unsafe"
)

// Type says what a [Value] or a column holds.
type Type uint8

// The types of values. The zero Type is NULL.
const (
	TypeNull     Type = iota
	TypeBool          // Int is 0 or 1
	TypeInt           // Int
	TypeUint          // Int holds the bits of a uint64
	TypeFloat         // Int holds the bits of a float64
	TypeDecimal       // Str is its plain text, without trailing zeros
	TypeText          // Str
	TypeBinary        // Str holds the bytes
	TypeUUID          // Str holds the 16 bytes
	TypeInstant       // Int is a point in time in Unix nanoseconds
	TypeWallTime      // Int is a time without zone, in nanoseconds as if it were UTC
	TypeDate          // Int is days since 1970-01-01
	TypeOther         // Str is the JSON of a list or struct; as a column, any that no field takes
	TypeAny           // of columns only: whatever a JSON text holds
)

var typeNames = [...]string{
	"null", "boolean", "integer", "unsigned integer", "double", "decimal", "text", "binary",
	"uuid", "timestamp with zone", "timestamp without zone", "date", "nested value", "any value",
}

// String returns the type as people call it.
func (t Type) String() string { return typeNames[t] }

// Value is one value of a source row. Its string may alias a buffer of the
// source that is reused for the next rows.
type Value struct {
	Type Type
	Int  int64
	Str  string
}

func boolValue(b bool) Value {
	if b {
		return Value{Type: TypeBool, Int: 1}
	}
	return Value{Type: TypeBool}
}

func floatValue(f float64) Value {
	return Value{Type: TypeFloat, Int: int64(math.Float64bits(f))}
}

func textValue(s string) Value { return Value{Type: TypeText, Str: s} }

func (v Value) float() float64 { return math.Float64frombits(uint64(v.Int)) }

const (
	wallLayout = "2006-01-02T15:04:05.999999999"
	dateLayout = "2006-01-02"
)

// appendText appends the text of v: numbers plain, binary in hex, times in RFC 3339.
func appendText(b []byte, v Value) []byte {
	switch v.Type {
	case TypeNull:
		return b
	case TypeBool:
		return strconv.AppendBool(b, v.Int != 0)
	case TypeInt:
		return strconv.AppendInt(b, v.Int, 10)
	case TypeUint:
		return strconv.AppendUint(b, uint64(v.Int), 10)
	case TypeFloat:
		return appendFloat(b, v.float())
	case TypeBinary:
		return hex.AppendEncode(b, bytesOf(v.Str))
	case TypeUUID:
		return appendUUID(b, v.Str)
	case TypeInstant:
		return Time(v.Int).Time().AppendFormat(b, time.RFC3339Nano)
	case TypeWallTime:
		return Time(v.Int).Time().AppendFormat(b, wallLayout)
	case TypeDate:
		return time.Unix(v.Int*secondsPerDay, 0).UTC().AppendFormat(b, dateLayout)
	}
	return append(b, v.Str...)
}

func appendFloat(b []byte, f float64) []byte {
	switch {
	case f == 0: // a negative zero too
		return append(b, '0')
	case math.Abs(f) < 1e21:
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

func appendUUID(b []byte, s string) []byte {
	if len(s) != 16 {
		return hex.AppendEncode(b, bytesOf(s))
	}
	for i, end := range [...]int{4, 6, 8, 10, 16} {
		start := [...]int{0, 4, 6, 8, 10}[i]
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, bytesOf(s[start:end]))
	}
	return b
}

// Scratch holds what mapping a row makes. Its texts are valid until it is
// reset, which lets a reader map millions of rows without allocating. It is for
// one goroutine.
type Scratch struct {
	buf     []byte
	derived []Value  // what lies inside of the row's values: see [Mapping.unfold]
	failed  *problem // of the first expression of the row that could not be evaluated
	machine machine
}

// Reset makes the memory of all texts handed out so far available again.
func (s *Scratch) Reset() { s.buf = s.buf[:0] }

// text returns the text of v, without a copy if v has one.
func (s *Scratch) text(v Value) string {
	if v.Type == TypeText || v.Type == TypeDecimal {
		return v.Str
	}
	start := len(s.buf)
	s.buf = appendText(s.buf, v)
	return stringOf(s.buf[start:])
}

func (s *Scratch) concat(a, b string) string {
	start := len(s.buf)
	s.buf = append(append(s.buf, a...), b...)
	return stringOf(s.buf[start:])
}

// stringOf and bytesOf convert without a copy; neither side may be written to
// while the other one is in use.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
func bytesOf(s string) []byte  { return unsafe.Slice(unsafe.StringData(s), len(s)) }
