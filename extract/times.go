package extract

import (
	"math"
	"strconv"
	"strings"
	"time"
)

const secondsPerDay = 86400

// The range of [Time] that [TimeOf] keeps to, in nanoseconds and in seconds.
var (
	firstTime = TimeOf(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))
	lastTime  = TimeOf(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	firstSec  = int64(firstTime) / 1e9
	lastSec   = int64(lastTime) / 1e9
	// earliest is when the first plausible message was sent.
	earliest = TimeOf(time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC))
)

// The largest and least nanoseconds stand for infinite times.
const (
	Infinity         = math.MaxInt64
	NegativeInfinity = math.MinInt64
)

// timeUnit is how long one of a number is; 0: told by the number's size.
type timeUnit int64

var timeUnits = map[string]timeUnit{"": 0, "s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}

// unitBySize tells seconds, milliseconds, microseconds and nanoseconds apart.
func unitBySize(abs float64) timeUnit {
	switch {
	case abs < 1e11:
		return 1
	case abs < 1e14:
		return 1e3
	case abs < 1e17:
		return 1e6
	}
	return 1e9
}

// timeReader reads the times of one mapped column.
type timeReader struct {
	unit timeUnit
	zone *time.Location // of times without one; nil is UTC
}

// time converts v; false if it is no time, or an infinite one.
func (r timeReader) time(v Value) (Time, bool) {
	switch v.Type {
	case TypeInstant:
		return Time(v.Int), v.Int != Infinity && v.Int != NegativeInfinity
	case TypeWallTime:
		if v.Int == Infinity || v.Int == NegativeInfinity {
			return 0, false
		}
		sec, nsec := splitUnits(v.Int, 1e9)
		return r.local(sec, nsec), true
	case TypeDate:
		return r.local(v.Int*secondsPerDay, 0), true
	case TypeInt:
		return r.number(v.Int), true
	case TypeUint:
		if v.Int < 0 {
			return lastTime, true
		}
		return r.number(v.Int), true
	case TypeFloat:
		return r.float(v.float())
	case TypeText:
		return r.text(v.Str)
	case TypeDecimal:
		return r.numeric(v.Str)
	}
	return 0, false
}

func (r timeReader) number(n int64) Time {
	unit := r.unit
	if unit == 0 {
		unit = unitBySize(math.Abs(float64(n)))
	}
	return clampTime(splitUnits(n, int64(unit)))
}

// float rounds to microseconds: a double of seconds is no more exact than that.
func (r timeReader) float(f float64) (Time, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false
	}
	unit := r.unit
	if unit == 0 {
		unit = unitBySize(math.Abs(f))
	}
	micros := math.Round(f * (1e6 / float64(unit)))
	switch {
	case micros >= 9e18:
		return lastTime, true
	case micros <= -9e18:
		return firstTime, true
	}
	return clampTime(splitUnits(int64(micros), 1e6)), true
}

// text reads ISO 8601 in its usual variants, and numbers.
func (r timeReader) text(s string) (Time, bool) {
	s = strings.TrimSpace(s)
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return r.numeric(s)
	}
	p := isoParser{rest: s}
	sec, nsec, offset, zoned := p.parse()
	switch {
	case p.bad:
		return 0, false
	case zoned:
		return clampTime(sec-offset, nsec), true
	}
	return r.local(sec, nsec), true
}

func (r timeReader) numeric(s string) (Time, bool) {
	if strings.Trim(s, "+-.0123456789eE") != "" {
		return 0, false
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return r.number(n), true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, false
	}
	return r.float(f)
}

// local converts a wall clock's seconds, counted as if it showed UTC. An hour
// that the clock shows twice is its first showing; one that it skips is read
// as if the clock had not been put forward. Go leaves both open.
func (r timeReader) local(sec, nsec int64) Time {
	if r.zone == nil || sec < firstSec || sec > lastSec {
		return clampTime(sec, nsec)
	}
	before, after := offsetAt(r.zone, sec-secondsPerDay), offsetAt(r.zone, sec+secondsPerDay)
	if before != after && offsetAt(r.zone, sec-before) != before && offsetAt(r.zone, sec-after) == after {
		return clampTime(sec-after, nsec)
	}
	return clampTime(sec-before, nsec)
}

func offsetAt(zone *time.Location, sec int64) int64 {
	_, offset := time.Unix(sec, 0).In(zone).Zone()
	return int64(offset)
}

// splitUnits converts n units of which perSecond make a second, rounding down.
func splitUnits(n, perSecond int64) (sec, nsec int64) {
	sec, rest := n/perSecond, n%perSecond
	if rest < 0 {
		sec, rest = sec-1, rest+perSecond
	}
	return sec, rest * (1e9 / perSecond)
}

// clampTime converts Unix seconds; like [TimeOf] it moves what lies outside of
// the range of Time to its end.
func clampTime(sec, nsec int64) Time {
	switch {
	case sec < firstSec:
		return firstTime
	case sec >= lastSec:
		return lastTime
	}
	return Time(sec*1e9 + nsec)
}

// isoParser reads YYYY-MM-DD[{T| }hh:mm[:ss[{.|,}fraction]][ ][zone]], where a
// zone is Z, UTC, GMT, ±hh, ±hhmm, ±hh:mm or ±hh:mm:ss.
type isoParser struct {
	rest string
	bad  bool
}

func (p *isoParser) parse() (sec, nsec, offset int64, zoned bool) {
	sec = p.date() * secondsPerDay
	if p.rest == "" || p.bad {
		return sec, 0, 0, false
	}
	if !p.skip('T') && !p.skip('t') && !p.skip(' ') {
		p.bad = true
		return
	}
	clock, nsec := p.clock()
	offset, zoned = p.zone()
	return sec + clock, nsec, offset, zoned
}

func (p *isoParser) date() int64 {
	year := p.digits(4, 9999)
	p.expect('-')
	month := p.digits(2, 12)
	p.expect('-')
	day := p.digits(2, 31)
	t := time.Date(int(year), time.Month(month), int(day), 0, 0, 0, 0, time.UTC)
	if month == 0 || t.Day() != int(day) {
		p.bad = true
	}
	days, _ := splitUnits(t.Unix(), secondsPerDay)
	return days
}

func (p *isoParser) clock() (sec, nsec int64) {
	sec = 3600 * p.digits(2, 23)
	p.expect(':')
	sec += 60 * p.digits(2, 59)
	if !p.skip(':') {
		return sec, 0
	}
	sec += p.digits(2, 60) // 60: a leap second, read as the next minute's start
	if p.skip('.') || p.skip(',') {
		nsec = p.fraction()
	}
	return sec, nsec
}

func (p *isoParser) fraction() (nsec int64) {
	n := 0
	for ; n < len(p.rest) && isDigit(p.rest[n]); n++ {
		if n < 9 {
			nsec = nsec*10 + int64(p.rest[n]-'0')
		}
	}
	p.bad = p.bad || n == 0
	p.rest = p.rest[n:]
	for ; n < 9; n++ {
		nsec *= 10
	}
	return nsec
}

func (p *isoParser) zone() (offset int64, zoned bool) {
	p.skip(' ')
	switch p.rest {
	case "":
		return 0, false
	case "Z", "z", "UTC", "GMT":
		return 0, true
	}
	sign := int64(1)
	if p.skip('-') {
		sign = -1
	} else {
		p.expect('+')
	}
	offset = 3600 * p.digits(2, 23)
	for _, seconds := range [...]int64{60, 1} {
		if colon := p.skip(':'); colon || p.rest != "" && isDigit(p.rest[0]) {
			offset += seconds * p.digits(2, 59)
		}
	}
	if p.rest != "" && p.rest != " UTC" {
		p.bad = true
	}
	return sign * offset, true
}

func (p *isoParser) digits(n int, limit int64) (v int64) {
	if len(p.rest) < n {
		p.bad = true
		return 0
	}
	for i := range n {
		p.bad = p.bad || !isDigit(p.rest[i])
		v = v*10 + int64(p.rest[i]-'0')
	}
	p.rest = p.rest[n:]
	p.bad = p.bad || v > limit
	return v
}

func (p *isoParser) skip(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *isoParser) expect(c byte) { p.bad = !p.skip(c) || p.bad }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
