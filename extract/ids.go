package extract

import (
	"math"
	"strings"
)

// separator cannot occur in an id: it separates the parts that events' ids are
// made of.
const separator = 0x1F

// problem is why a row cannot be read.
type problem struct {
	reason Reason
	detail string
}

// idText returns the text of an id: "" for NULL and empty ones. The text is
// the same whatever the width of a number or the scale of a decimal.
func idText(v Value, s *Scratch) (string, *problem) {
	switch v.Type {
	case TypeNull:
		return "", nil
	case TypeFloat:
		if f := v.float(); math.Abs(f) >= 1<<53 || f != math.Trunc(f) { // NaN too
			return "", &problem{BadID, shown(v) + " is no whole number below 2^53"}
		}
	case TypeBool, TypeInstant, TypeWallTime, TypeDate, TypeOther:
		return "", &problem{BadID, shown(v) + " is a " + v.Type.String() + ", no id"}
	}
	id := s.text(v)
	if strings.IndexByte(id, separator) >= 0 {
		return "", &problem{BadID, shown(v) + " contains the byte 0x1F"}
	}
	return id, nil
}
