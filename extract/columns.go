package extract

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// quotePart spells a name as a part of a path.
func quotePart(name string) string {
	if strings.Contains(name, ".") {
		return `"` + name + `"`
	}
	return name
}

// findColumn resolves a path. A column whose own name has dots needs no quotes
// unless a part of the path follows it.
func findColumn(columns []Column) func(path string) (Column, bool) {
	byName := make(map[string]Column, len(columns))
	for _, col := range slices.Backward(columns) { // the first of equal names wins
		byName[col.Name] = col
	}
	return func(path string) (Column, bool) {
		if col, ok := byName[quotePart(path)]; ok {
			return col, true
		}
		col, ok := byName[normalPath(path)]
		return col, ok
	}
}

// normalPath quotes the parts of a path that need it, and no others.
func normalPath(path string) string {
	var parts []string
	var part strings.Builder
	quoted := false
	for _, c := range path {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '.' && !quoted:
			parts = append(parts, quotePart(part.String()))
			part.Reset()
		default:
			part.WriteRune(c)
		}
	}
	return strings.Join(append(parts, quotePart(part.String())), ".")
}

// nodeType is what errors call the type of a node.
func nodeType(node schema.Node) string {
	logical := node.LogicalType()
	switch logical.(type) {
	case schema.ListLogicalType:
		return "list"
	case schema.MapLogicalType:
		return "map"
	}
	switch _, isGroup := node.(*schema.GroupNode); {
	case node.RepetitionType() == parquet.Repetitions.Repeated:
		return "list"
	case isGroup && node.ConvertedType() == schema.ConvertedTypes.MapKeyValue:
		return "map"
	case isGroup && logical != nil && !logical.IsNone():
		return strings.ToLower(logical.String())
	case isGroup:
		return "struct"
	}
	return leafName(node)
}

// leafName is nodeType of a leaf, whether it is repeated or not.
func leafName(node schema.Node) string {
	physical := node.(*schema.PrimitiveNode).PhysicalType()
	switch logical := node.LogicalType().(type) {
	case nil, schema.NoLogicalType:
		return physical.String()
	case schema.TimestampLogicalType:
		if logical.IsAdjustedToUTC() {
			return fmt.Sprintf("%s (%s)", TypeInstant, physical)
		}
		return fmt.Sprintf("%s (%s)", TypeWallTime, physical)
	default:
		return fmt.Sprintf("%s (%s)", logical, physical)
	}
}

// leafType is the type of a leaf's values. It never depends on the values:
// byte arrays without a logical type are text, as old writers leave strings;
// fixed-length ones are binary.
func leafType(col *schema.Column) Type {
	switch logical := col.LogicalType().(type) {
	case schema.TimestampLogicalType:
		if logical.IsAdjustedToUTC() {
			return TypeInstant
		}
		return TypeWallTime
	case schema.DateLogicalType:
		return TypeDate
	case *schema.DecimalLogicalType, schema.DecimalLogicalType:
		return TypeDecimal
	case schema.UUIDLogicalType:
		return TypeUUID
	case schema.Float16LogicalType:
		return TypeFloat
	case schema.NullLogicalType:
		return TypeNull
	case schema.IntLogicalType:
		if !logical.IsSigned() {
			return TypeUint
		}
		return TypeInt
	case schema.BSONLogicalType:
		return TypeBinary
	case schema.TimeLogicalType, schema.IntervalLogicalType, schema.GeometryLogicalType,
		schema.GeographyLogicalType, schema.VariantLogicalType:
		return TypeOther
	}
	return physicalTypes[col.PhysicalType()]
}

var physicalTypes = map[parquet.Type]Type{
	parquet.Types.Boolean:           TypeBool,
	parquet.Types.Int32:             TypeInt,
	parquet.Types.Int64:             TypeInt,
	parquet.Types.Int96:             TypeInstant,
	parquet.Types.Float:             TypeFloat,
	parquet.Types.Double:            TypeFloat,
	parquet.Types.ByteArray:         TypeText,
	parquet.Types.FixedLenByteArray: TypeBinary,
}

// The converters from what Parquet stores to Values, one for a leaf.

func int32Converter(col *schema.Column) func(int32) Value {
	switch t := leafType(col); t {
	case TypeDate:
		return func(n int32) Value { return Value{Type: TypeDate, Int: int64(n)} }
	case TypeUint:
		return func(n int32) Value { return Value{Type: TypeUint, Int: int64(uint32(n))} }
	case TypeDecimal:
		scale := decimalScale(col)
		return func(n int32) Value { return decimalValue(int64(n), scale) }
	default:
		return func(n int32) Value { return Value{Type: TypeInt, Int: int64(n)} }
	}
}

func int64Converter(col *schema.Column) func(int64) Value {
	switch t := leafType(col); t {
	case TypeInstant, TypeWallTime:
		perSecond := timestampUnits(col)
		return func(n int64) Value { return Value{Type: t, Int: int64(clampTime(splitUnits(n, perSecond)))} }
	case TypeDecimal:
		scale := decimalScale(col)
		return func(n int64) Value { return decimalValue(n, scale) }
	default:
		return func(n int64) Value { return Value{Type: t, Int: n} }
	}
}

func timestampUnits(col *schema.Column) int64 {
	logical, ok := col.LogicalType().(schema.TimestampLogicalType)
	switch {
	case ok && logical.TimeUnit() == schema.TimeUnitMillis:
		return 1e3
	case ok && logical.TimeUnit() == schema.TimeUnitMicros:
		return 1e6
	}
	return 1e9
}

// julianUnixEpoch is the Julian day of 1970-01-01.
const julianUnixEpoch = 2440588

// int96Value reads a time of day in nanoseconds and a Julian day.
func int96Value(n parquet.Int96) Value {
	nanos := int64(binary.LittleEndian.Uint64(n[:8]))
	days := int64(binary.LittleEndian.Uint32(n[8:])) - julianUnixEpoch
	sec, nsec := splitUnits(nanos, 1e9)
	return Value{Type: TypeInstant, Int: int64(clampTime(days*secondsPerDay+sec, nsec))}
}

// float32Value gives the double that prints as the single does.
func float32Value(f float32) Value {
	d := float64(f)
	if d == math.Trunc(d) || math.IsNaN(d) {
		return floatValue(d)
	}
	if short, err := strconv.ParseFloat(strconv.FormatFloat(d, 'g', -1, 32), 64); err == nil {
		d = short
	}
	return floatValue(d)
}

func bytesConverter(col *schema.Column) func(parquet.ByteArray) Value {
	t := leafType(col)
	if t == TypeDecimal {
		scale := decimalScale(col)
		return func(b parquet.ByteArray) Value { return bigDecimalValue(b, scale) }
	}
	return func(b parquet.ByteArray) Value { return Value{Type: t, Str: stringOf(b)} }
}

func fixedConverter(col *schema.Column) func(parquet.FixedLenByteArray) Value {
	t := leafType(col)
	switch {
	case t == TypeDecimal:
		scale := decimalScale(col)
		return func(b parquet.FixedLenByteArray) Value { return bigDecimalValue(b, scale) }
	case t == TypeFloat:
		return func(b parquet.FixedLenByteArray) Value {
			return float32Value(float16.FromLEBytes(b).Float32())
		}
	}
	return func(b parquet.FixedLenByteArray) Value { return Value{Type: t, Str: stringOf(b)} }
}

func decimalScale(col *schema.Column) int {
	switch logical := col.LogicalType().(type) {
	case schema.DecimalLogicalType:
		return int(logical.Scale())
	case *schema.DecimalLogicalType:
		return int(logical.Scale())
	}
	return 0
}

func decimalValue(n int64, scale int) Value {
	return Value{Type: TypeDecimal, Str: decimalText(strconv.FormatInt(n, 10), scale)}
}

// bigDecimalValue reads a big-endian number in two's complement.
func bigDecimalValue(b []byte, scale int) Value {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return Value{Type: TypeDecimal, Str: decimalText(n.String(), scale)}
}

// decimalText puts the point into a whole number and drops trailing zeros.
func decimalText(digits string, scale int) string {
	if scale <= 0 || digits == "0" {
		return digits
	}
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	whole, frac := digits[:len(digits)-scale], strings.TrimRight(digits[len(digits)-scale:], "0")
	if frac == "" {
		return sign + whole
	}
	return sign + whole + "." + frac
}
