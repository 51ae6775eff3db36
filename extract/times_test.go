package extract

import (
	"testing"
	"time"
)

func TestTimeReader(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	utc := timeReader{}
	ny := timeReader{zone: newYork}
	integer := func(n int64) Value { return Value{Type: TypeInt, Int: n} }
	for _, c := range []struct {
		name   string
		reader timeReader
		value  Value
		want   string // empty: no time
	}{
		{"OK zone", utc, textValue("2024-03-01T10:00:00Z"), "2024-03-01T10:00:00Z"},
		{"OK space, no zone", utc, textValue("2024-03-01 10:00:00"), "2024-03-01T10:00:00Z"},
		{"OK offset", utc, textValue("2024-03-01T10:00:00+02:00"), "2024-03-01T08:00:00Z"},
		{"OK offset of hours", utc, textValue("2024-03-01 10:00:00+00"), "2024-03-01T10:00:00Z"},
		{"OK offset without colon", utc, textValue("2024-03-01T10:00:00.5-0530"), "2024-03-01T15:30:00.5Z"},
		{"OK offset after a space", utc, textValue("2024-03-01 10:00:00 +0000"), "2024-03-01T10:00:00Z"},
		{"OK UTC", utc, textValue("2024-03-01 10:00:00.25 UTC"), "2024-03-01T10:00:00.25Z"},
		{"OK Go's own", utc, textValue("2024-03-01 10:00:00 +0000 UTC"), "2024-03-01T10:00:00Z"},
		{"OK comma", utc, textValue("2024-03-01T10:00:00,123"), "2024-03-01T10:00:00.123Z"},
		{"OK long fraction", utc, textValue("2024-03-01T10:00:00.1234567891234"), "2024-03-01T10:00:00.123456789Z"},
		{"OK minutes", utc, textValue("2024-03-01T10:00"), "2024-03-01T10:00:00Z"},
		{"OK date", utc, textValue("2024-02-29"), "2024-02-29T00:00:00Z"},
		{"OK leap second", utc, textValue("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00Z"},
		{"OK before 1970", utc, textValue("1969-12-31T23:59:59.5Z"), "1969-12-31T23:59:59.5Z"},
		{"OK blanks around", utc, textValue(" 2024-03-01T10:00:00Z\n"), "2024-03-01T10:00:00Z"},
		{"OK local", ny, textValue("2024-07-01T10:00:00"), "2024-07-01T14:00:00Z"},
		{"OK local date", ny, Value{Type: TypeDate, Int: 19783}, "2024-03-01T05:00:00Z"},
		{"OK zone beats local", ny, textValue("2024-07-01T10:00:00Z"), "2024-07-01T10:00:00Z"},
		{"OK in the gap", ny, textValue("2024-03-10T02:30:00"), "2024-03-10T07:30:00Z"},
		{"OK before the gap", ny, textValue("2024-03-10T01:59:59"), "2024-03-10T06:59:59Z"},
		{"OK after the gap", ny, textValue("2024-03-10T03:00:00"), "2024-03-10T07:00:00Z"},
		{"OK twice", ny, textValue("2024-11-03T01:30:00"), "2024-11-03T05:30:00Z"},
		{"OK after twice", ny, textValue("2024-11-03T02:00:00"), "2024-11-03T07:00:00Z"},
		{"OK seconds", utc, integer(1_700_000_000), "2023-11-14T22:13:20Z"},
		{"OK milliseconds", utc, integer(1_700_000_000_123), "2023-11-14T22:13:20.123Z"},
		{"OK microseconds", utc, integer(1_700_000_000_123_456), "2023-11-14T22:13:20.123456Z"},
		{"OK nanoseconds", utc, integer(1_700_000_000_123_456_789), "2023-11-14T22:13:20.123456789Z"},
		{"OK unit", timeReader{unit: 1e3}, integer(60_000_000_000), "1971-11-26T10:40:00Z"},
		{"OK number as text", utc, textValue("1700000000.5"), "2023-11-14T22:13:20.5Z"},
		{"OK double", utc, floatValue(1700000000.1234567), "2023-11-14T22:13:20.123457Z"},
		{"OK double of ms", utc, floatValue(1700000000123.25), "2023-11-14T22:13:20.12325Z"},
		{"OK decimal", utc, Value{Type: TypeDecimal, Str: "1700000000.5"}, "2023-11-14T22:13:20.5Z"},
		{"OK wall time", ny, Value{Type: TypeWallTime, Int: 1_700_000_000e9}, "2023-11-15T03:13:20Z"},
		{"OK far away", utc, textValue("9999-12-31T23:59:59Z"), "2262-01-01T00:00:00Z"},
		{"OK far away in seconds", timeReader{unit: 1}, integer(1 << 62), "2262-01-01T00:00:00Z"},
		{"OK far in the past", utc, textValue("0001-01-01"), "1678-01-01T00:00:00Z"},
		{"Err no time", utc, textValue("yesterday"), ""},
		{"Err empty", utc, textValue(""), ""},
		{"Err month", utc, textValue("2024-13-01"), ""},
		{"Err day", utc, textValue("2023-02-29"), ""},
		{"Err hour", utc, textValue("2024-03-01T25:00:00"), ""},
		{"Err fraction", utc, textValue("2024-03-01T10:00:00."), ""},
		{"Err rest", utc, textValue("2024-03-01T10:00:00Zulu"), ""},
		{"Err cut off", utc, textValue("2024-03-01T10"), ""},
		{"Err infinity", utc, textValue("infinity"), ""},
		{"Err NaN", utc, textValue("NaN"), ""},
		{"Err hex", utc, textValue("0x10p1"), ""},
		{"Err infinite double", utc, floatValue(inf()), ""},
		{"Err infinite time", utc, Value{Type: TypeInstant, Int: Infinity}, ""},
		{"Err boolean", utc, boolValue(true), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := c.reader.time(c.value)
			if ok != (c.want != "") || ok && got.String() != c.want {
				t.Errorf("got %s, %v; want %q", got, ok, c.want)
			}
		})
	}
}

func inf() float64 { zero := 0.0; return 1 / zero }
