package transform

import (
	"slices"
	"strings"
)

// isCard reports whether the first n groups are a payment card: 13 to 19
// digits, in one or in groups of which the first has four, with the check digit
// of Luhn, and with a first digit that cards have.
func (d *digits) isCard(n int) bool {
	text := d.text[:d.count(n)]
	if len(text) < 13 || d.sep[0] != "" || !d.separated(n, " ", "-", "\u00a0") || n > 1 && d.length[0] != 4 {
		return false
	}
	network := text[0] >= '2' && text[0] <= '6' || text[0] >= '8' && len(text) == 16
	return network && luhn(text)
}

func luhn(digits []byte) bool {
	sum := 0
	for i, c := range digits {
		v := int(c - '0')
		if (len(digits)-i)%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}

// isPhone reports whether the first n groups are a telephone number as people
// write it, with the country's code or as is usual in a country.
func (d *digits) isPhone(n int) bool {
	text, groups := d.text[:d.count(n)], d.length[:n]
	switch {
	case strings.Contains(d.sep[0], "+"):
		return isInternational(text, groups)
	case text[0] == '0' && len(text) > 1 && text[1] == '0':
		return groups[0] > 1 && isInternational(text[2:], groups)
	case text[0] == '0':
		return isTrunk(text, groups)
	}
	return isNorthAmerican(text, groups) || d.isOther(text, groups)
}

// isInternational reports whether digits are a country's code and a number.
func isInternational(text []byte, groups []int) bool {
	if len(text) == 0 || text[0] == '0' || groups[0] >= 10 && len(groups) > 1 {
		return false
	}
	if text[0] == '1' {
		return len(text) == 11
	}
	return len(text) >= 8 && len(text) <= 15
}

// isTrunk reports whether digits are a number that begins with the 0 of calls
// inside of a country, as in most of the world.
func isTrunk(text []byte, groups []int) bool {
	if len(groups) == 1 {
		return len(text) == 10 || len(text) == 11
	}
	return len(text) >= 9 && len(text) <= 12 && slices.Min(groups) >= 2 && len(groups) <= 6
}

// isNorthAmerican reports whether digits are a number of the US, Canada or
// another country of their numbering plan: NXX NXX XXXX with N from 2 on, and
// perhaps a 1 before it.
func isNorthAmerican(text []byte, groups []int) bool {
	if text[0] == '1' {
		if len(groups) > 1 && groups[0] != 1 {
			return false
		}
		text = text[1:]
		if groups[0] == 1 {
			groups = groups[1:]
		}
	}
	if len(text) != 10 || text[0] < '2' || text[3] < '2' {
		return false
	}
	return len(groups) == 1 || shaped(groups, 3, 3, 4) || shaped(groups, 3, 7) || shaped(groups, 6, 4)
}

// isOther reports whether digits are a number of a country that writes no 0
// before it: mobile numbers of Italy and India, and the nine digits of Spain,
// Portugal and Poland, which only groups tell from other numbers.
func (d *digits) isOther(text []byte, groups []int) bool {
	if len(text) == 10 && text[0] == '3' && text[1] >= '2' {
		return len(groups) == 1 || shaped(groups, 3, 7) || shaped(groups, 3, 3, 4) || shaped(groups, 3, 4, 3)
	}
	if !d.separated(len(groups), " ", "-", "\u00a0") {
		return false
	}
	if len(text) == 10 {
		return text[0] >= '6' && shaped(groups, 5, 5)
	}
	return len(text) == 9 && text[0] >= '5' &&
		(shaped(groups, 3, 3, 3) || shaped(groups, 3, 2, 2, 2) || shaped(groups, 2, 3, 2, 2))
}

func shaped(groups []int, shape ...int) bool { return slices.Equal(groups, shape) }
