package extract

import (
	"math"
	"testing"
)

func TestIDText(t *testing.T) {
	uuid := string([]byte{0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0x00})
	for _, c := range []struct {
		name  string
		value Value
		want  string
		bad   bool
	}{
		{"OK null", Value{}, "", false},
		{"OK text as it is", textValue(" A\xff "), " A\xff ", false},
		{"OK negative", Value{Type: TypeInt, Int: -42}, "-42", false},
		{"OK unsigned", Value{Type: TypeUint, Int: -1}, "18446744073709551615", false},
		{"OK double", floatValue(9007199254740991), "9007199254740991", false},
		{"OK negative zero", floatValue(math.Copysign(0, -1)), "0", false},
		{"OK decimal", Value{Type: TypeDecimal, Str: decimalText("12300", 2)}, "123", false},
		{"OK decimal with fraction", Value{Type: TypeDecimal, Str: decimalText("-12345", 4)}, "-1.2345", false},
		{"OK UUID", Value{Type: TypeUUID, Str: uuid}, "123e4567-e89b-12d3-a456-426614174000", false},
		{"OK binary", Value{Type: TypeBinary, Str: "\x00\xff"}, "00ff", false},
		{"Err fraction", floatValue(1.5), "", true},
		{"Err 2^53", floatValue(1 << 53), "", true},
		{"Err NaN", floatValue(math.NaN()), "", true},
		{"Err infinite", floatValue(inf()), "", true},
		{"Err separator", textValue("a\x1fb"), "", true},
		{"Err boolean", boolValue(true), "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, p := idText(c.value, &Scratch{})
			if got != c.want || (p != nil) != c.bad {
				t.Errorf("got %q, %v; want %q", got, p, c.want)
			}
			if p != nil && p.reason != BadID {
				t.Errorf("got reason %s", p.reason)
			}
		})
	}
}

func TestDecimalText(t *testing.T) {
	for _, c := range []struct {
		digits string
		scale  int
		want   string
	}{
		{"0", 4, "0"}, {"5", 0, "5"}, {"5", 3, "0.005"}, {"-5", 1, "-0.5"}, {"100", 2, "1"}, {"1050", 2, "10.5"},
	} {
		if got := decimalText(c.digits, c.scale); got != c.want {
			t.Errorf("decimalText(%s, %d) = %s, want %s", c.digits, c.scale, got, c.want)
		}
	}
}

func TestPosition(t *testing.T) {
	for _, id := range []string{"", "a", "conv_1", "\x00\xff", "x-y"} {
		got, err := parsePosition(pointOf(id).position())
		if err != nil || got != pointOf(id) {
			t.Errorf("position of %q reads back as %v, %v", id, got, err)
		}
	}
	for _, pos := range []Position{"x", "h1-", "h2-0000000000000000-", "h1-00-61", "h1-0000000000000000-6", "h1-0000000000000000-61-"} {
		if _, err := parsePosition(pos); err == nil {
			t.Errorf("position %q is accepted", pos)
		}
	}
}
