package extract

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// sequenceOf converts any number; what lies beyond 64 bits becomes the end of
// their range. NULL and empty text are 0.
func sequenceOf(v Value) (Sequence, bool) {
	switch v.Type {
	case TypeNull:
		return Sequence{}, true
	case TypeInt, TypeBool:
		return Sequence{Int: v.Int}, true
	case TypeUint:
		if v.Int < 0 {
			return Sequence{Int: math.MaxInt64}, true
		}
		return Sequence{Int: v.Int}, true
	case TypeFloat:
		return floatSequence(v.float())
	case TypeText, TypeDecimal:
		return textSequence(strings.TrimSpace(v.Str))
	}
	return Sequence{}, false
}

func floatSequence(f float64) (Sequence, bool) {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return Sequence{}, false
	case f >= 1<<63:
		return Sequence{Int: math.MaxInt64}, true
	case f < -1<<63:
		return Sequence{Int: math.MinInt64}, true
	}
	whole := math.Floor(f)
	return Sequence{Int: int64(whole), Frac: f - whole}, true
}

// textSequence keeps all digits of the whole part, which a double would not.
func textSequence(s string) (Sequence, bool) {
	if s == "" {
		return Sequence{}, true
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return Sequence{Int: n}, true
	}
	if strings.Trim(s, "+-.0123456789eE") != "" {
		return Sequence{}, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(f) >= 1<<63 || strings.ContainsAny(s, "eE") {
		return floatSequence(f)
	}
	whole, digits, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	frac, fracErr := strconv.ParseFloat("0."+digits, 64)
	switch {
	case err != nil || fracErr != nil:
		return floatSequence(f)
	case frac == 0:
		return Sequence{Int: n}, true
	case whole[0] == '-':
		n, frac = n-1, 1-frac
	}
	return Sequence{Int: n, Frac: min(frac, math.Nextafter(1, 0))}, true
}

// flagOf reads a truth value; any time means that it happened.
func flagOf(v Value) (set, ok bool) {
	switch v.Type {
	case TypeNull:
		return false, true
	case TypeBool, TypeInt, TypeUint:
		return v.Int != 0, true
	case TypeFloat:
		return v.float() != 0, true
	case TypeDecimal:
		return v.Str != "0", true
	case TypeInstant, TypeWallTime, TypeDate:
		return true, true
	case TypeText:
		return flagText(strings.TrimSpace(v.Str))
	}
	return false, false
}

func flagText(s string) (set, ok bool) {
	switch strings.ToLower(s) {
	case "true", "t", "yes", "y", "on":
		return true, true
	case "", "false", "f", "no", "n", "off":
		return false, true
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f != 0, true
	}
	_, ok = timeReader{}.text(s)
	return ok, ok
}

// jsonText returns v as a JSON number, boolean or string; "" for NULL and for
// doubles that JSON has no number for.
func jsonText(v Value, s *Scratch) string {
	switch v.Type {
	case TypeNull:
		return ""
	case TypeBool, TypeInt, TypeUint:
		return s.text(v)
	case TypeDecimal, TypeOther:
		return v.Str
	case TypeFloat:
		if f := v.float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return ""
		}
		return s.text(v)
	}
	out, err := json.Marshal(s.text(v))
	if err != nil { // a string always encodes
		panic(fmt.Sprintf("encode text: %v", err))
	}
	return stringOf(out)
}

// shownBytes bounds how much of a value an error shows.
const shownBytes = 64

// shown is v as errors and rejects show it.
func shown(v Value) string {
	switch v.Type {
	case TypeNull:
		return "null"
	case TypeOther: // its parts may be anything, a body too
		return "it"
	}
	text := string(appendText(nil, v))
	if v.Type != TypeText {
		return cut(text)
	}
	return strconv.Quote(cut(text))
}

// cut shortens s to at most shownBytes, between characters.
func cut(s string) string {
	if len(s) <= shownBytes {
		return s
	}
	s = s[:shownBytes]
	for i := 0; i < utf8.UTFMax && !utf8.ValidString(s); i++ {
		s = s[:len(s)-1]
	}
	return s
}
