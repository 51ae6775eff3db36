package extract

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

var timeZero time.Time

// wallClock is the zone of times in expressions that have none, so that what
// they yield is still known to have none.
var wallClock = time.FixedZone("", 0)

// exprValue is v as expressions have it: nil, bool, int, float64, string, time, or
// a map or slice of these. What lies in maps and slices comes from JSON: times
// are texts there.
func exprValue(v Value) any {
	switch v.Type {
	case TypeNull:
		return nil
	case TypeBool:
		return v.Int != 0
	case TypeInt:
		return int(v.Int)
	case TypeUint:
		if v.Int < 0 {
			return uint64(v.Int)
		}
		return int(v.Int)
	case TypeFloat:
		return v.float()
	case TypeDecimal:
		return exprDecimal(v.Str)
	case TypeInstant:
		return Time(v.Int).Time()
	case TypeWallTime:
		return Time(v.Int).Time().In(wallClock)
	case TypeDate:
		return time.Unix(v.Int*secondsPerDay, 0).In(wallClock)
	case TypeOther:
		if v.Str == "" {
			return nil
		}
		var s Scratch
		value, _ := exprJSON(v.Str, 0, &s)
		return value
	case TypeText:
		return v.Str
	}
	return string(appendText(nil, v))
}

// exprDecimal keeps a whole number of any size exact.
func exprDecimal(s string) any {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Trunc(f) == f && math.Abs(f) >= 1<<53 {
		return s
	}
	return f
}

// exprJSON reads the value at a place of a JSON text and returns its end.
func exprJSON(text string, at int, s *Scratch) (any, int) {
	switch text[at] {
	case '{':
		object := map[string]any{}
		at, more := nextItem(text, at+1)
		for more {
			var key string
			key, at = memberValue(text, at, s)
			object[key], at = exprJSON(text, at, s)
			at, more = nextItem(text, at)
		}
		return object, at + 1
	case '[':
		list := []any{}
		at, more := nextItem(text, at+1)
		for more {
			var item any
			item, at = exprJSON(text, at, s)
			list = append(list, item)
			at, more = nextItem(text, at)
		}
		return list, at + 1
	}
	end := skipValue(text, at)
	return exprValue(jsonValue(text[at:end], TypeAny, s)), end
}

// valueOf undoes exprValue; false for what no field takes.
func valueOf(x any) (Value, bool) {
	switch x := x.(type) {
	case nil:
		return Value{}, true
	case string:
		return textValue(x), true
	case bool:
		return boolValue(x), true
	case int:
		return Value{Type: TypeInt, Int: int64(x)}, true
	case float64:
		return floatValue(x), true
	case time.Time:
		return timeValue(x), true
	case []byte:
		return Value{Type: TypeBinary, Str: string(x)}, true
	}
	v := reflect.ValueOf(x)
	switch {
	case v.Type().PkgPath() != "": // a duration, a month: a number would mean anything
		return Value{}, false
	case v.CanInt():
		return Value{Type: TypeInt, Int: v.Int()}, true
	case v.CanUint():
		return Value{Type: TypeUint, Int: int64(v.Uint())}, true
	case v.CanFloat():
		return floatValue(v.Float()), true
	}
	if v.Kind() != reflect.Map && v.Kind() != reflect.Slice {
		return Value{}, false
	}
	out, err := json.Marshal(x)
	return Value{Type: TypeOther, Str: string(out)}, err == nil
}

func timeValue(t time.Time) Value {
	typ := TypeInstant
	if t.Location() == wallClock {
		typ = TypeWallTime
	}
	return Value{Type: typ, Int: int64(TimeOf(t))}
}

// kindOf is what people call the type of an expression's value.
func kindOf(x any) string {
	if x == nil {
		return "NULL"
	}
	return kindOfType(reflect.TypeOf(x))
}

func kindOfType(t reflect.Type) string {
	switch typ, ok := resultType(t); {
	case !ok:
		return "a " + t.String()
	case typ == TypeOther && t.Kind() == reflect.Map:
		return "a struct"
	case typ == TypeOther:
		return "a list"
	case typ == TypeInstant:
		return "a time"
	default:
		return fmt.Sprint(article(typ.String()), typ)
	}
}

func article(noun string) string {
	switch noun[0] {
	case 'a', 'e', 'i', 'o', 'u':
		return "an "
	}
	return "a "
}
