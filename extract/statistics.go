package extract

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// The footer says of a row group's columns between which values theirs lie. From
// that it can be known that no row is what is asked for, without reading one.
// Where it is not certain, the rows are read.

// bounds are what is known of the values of a column in a row group.
type bounds struct {
	least, most Value // of those that are not NULL; NULL: there are none
	nulls       bool  // some may be NULL
}

// boundsOf returns what the statistics of a leaf say; false if they say nothing
// that can be relied on.
func boundsOf(meta *metadata.FileMetaData, group, leaf int) (b bounds, ok bool) {
	defer func() { ok = recover() == nil && ok }() // of what cannot be decoded nothing is known
	col := meta.Schema.Column(leaf)
	stats := meta.RowGroups[group].Columns[leaf].MetaData.Statistics
	if stats == nil || col.MaxRepetitionLevel() > 0 || !correct(meta, group, leaf) {
		return b, false
	}
	if nullable := col.MaxDefinitionLevel() > 0; nullable {
		b.nulls = stats.NullCount == nil || *stats.NullCount != 0
		if b.nulls && stats.NullCount != nil && *stats.NullCount == meta.RowGroups[group].NumRows {
			return b, true
		}
	}
	if stats.MinValue == nil || stats.MaxValue == nil || !isExact(stats.IsMinValueExact) || !isExact(stats.IsMaxValueExact) {
		return b, false
	}
	least, okLeast := plainValue(col, stats.MinValue)
	most, okMost := plainValue(col, stats.MaxValue)
	b.least, b.most = least, most
	return b, okLeast && okMost && compareBounds(least, most) <= 0
}

func isExact(said *bool) bool { return said == nil || *said }

// correct reports whether the bounds were found by a writer that is known to do
// it well, in the order that values have here.
func correct(meta *metadata.FileMetaData, group, leaf int) bool {
	col := meta.Schema.Column(leaf)
	if col.ColumnOrder() != parquet.ColumnOrders.TypeDefinedOrder {
		return false
	}
	chunk, err := meta.RowGroup(group).ColumnChunk(leaf)
	if err != nil {
		return false
	}
	is, err := chunk.StatsSet()
	return is && err == nil
}

// plainValue decodes a bound; false if it is of a type whose bounds are not used.
func plainValue(col *schema.Column, b []byte) (Value, bool) {
	switch t := leafType(col); {
	case t == TypeText && col.PhysicalType() == parquet.Types.ByteArray:
		return textValue(string(b)), true
	case t == TypeBool && len(b) == 1:
		return boolValue(b[0] != 0), true
	case t == TypeFloat && len(b) == 8:
		f := math.Float64frombits(binary.LittleEndian.Uint64(b))
		return floatValue(f), !math.IsNaN(f)
	case t == TypeFloat && len(b) == 4:
		v := float32Value(math.Float32frombits(binary.LittleEndian.Uint32(b)))
		return v, !math.IsNaN(v.float())
	case t != TypeInt && !isTime(t):
		return Value{}, false
	case col.PhysicalType() == parquet.Types.Int32 && len(b) == 4:
		return int32Converter(col)(int32(binary.LittleEndian.Uint32(b))), true
	case col.PhysicalType() == parquet.Types.Int64 && len(b) == 8:
		return int64Converter(col)(int64(binary.LittleEndian.Uint64(b))), true
	}
	return Value{}, false
}

// compareBounds compares values of one kind, as expressions do.
func compareBounds(a, b Value) int {
	switch {
	case a.Type == TypeText:
		return strings.Compare(a.Str, b.Str)
	case isTime(a.Type):
		return cmp.Compare(instantOf(a), instantOf(b))
	case a.Type == TypeFloat || b.Type == TypeFloat:
		return cmp.Compare(number(a), number(b))
	}
	return cmp.Compare(a.Int, b.Int)
}

func number(v Value) float64 {
	if v.Type == TypeFloat {
		return v.float()
	}
	return float64(v.Int)
}

// instantOf is a time's place among others: those without a zone are compared as
// if they were in UTC.
func instantOf(v Value) Time {
	if v.Type == TypeDate {
		return clampTime(min(max(v.Int, firstSec/secondsPerDay), lastSec/secondsPerDay)*secondsPerDay, 0)
	}
	return Time(v.Int)
}

// excludes reports whether a where leaves out all rows of a row group.
func (p *predicate) excludes(meta *metadata.FileMetaData, group int) bool {
	return slices.ContainsFunc(p.terms, func(t term) bool {
		b, ok := t.bounds(meta, group)
		return ok && t.falseWithin(b)
	})
}

// bounds are those of the term's column.
func (t *term) bounds(meta *metadata.FileMetaData, group int) (bounds, bool) {
	switch {
	case t.slot == slotConstant && t.constant.Type != TypeNull:
		return bounds{t.constant, t.constant, false}, true
	case t.slot == slotConstant, t.slot == slotNone:
		return bounds{nulls: true}, true
	case t.column.index < 0:
		return bounds{}, false
	}
	return boundsOf(meta, group, t.column.index)
}

// falseWithin reports whether the term is true of no value within bounds.
func (t *term) falseWithin(b bounds) bool {
	hasNull := slices.ContainsFunc(t.values, func(v Value) bool { return v.Type == TypeNull })
	onlyNull := b.least.Type == TypeNull
	switch t.operator {
	case opIn:
		return !(hasNull && b.nulls) && (onlyNull || !slices.ContainsFunc(t.values, b.contain))
	case opNotIn:
		return (hasNull || !b.nulls) && (onlyNull || slices.ContainsFunc(t.values, b.areAll))
	}
	if onlyNull {
		return true
	}
	switch v := t.values[0]; t.operator {
	case opLess:
		return compareBounds(b.least, v) >= 0
	case opLessOrEqual:
		return compareBounds(b.least, v) > 0
	case opMore:
		return compareBounds(b.most, v) <= 0
	case opMoreOrEqual:
		return compareBounds(b.most, v) < 0
	}
	return false
}

func (b bounds) contain(v Value) bool {
	return v.Type != TypeNull && compareBounds(b.least, v) <= 0 && compareBounds(b.most, v) >= 0
}

// areAll reports whether all values are the same one. Of doubles some may be NaN,
// which the bounds do not say.
func (b bounds) areAll(v Value) bool {
	return v.Type == b.least.Type && v.Type != TypeFloat && compareBounds(b.least, v) == 0 && compareBounds(b.most, v) == 0
}
