package transform

// ibanLength is the length of an IBAN by country.
var ibanLength = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
	"BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
	"ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
	"HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
	"LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20,
	"MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
	"QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
	"SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}

// minIBANDigits is fewer than any IBAN has.
const minIBANDigits = 8

// findIBAN finds an international bank account number, in groups or in one.
func findIBAN(s string, start int) found {
	for i := start; i+3 < len(s); i++ {
		if !isLetter(s[i]) || !isLetter(s[i+1]) || !isDigit(s[i+2]) || !isDigit(s[i+3]) || isWord(before(s, i)) {
			continue
		}
		if end := ibanEnd(s, i); end > 0 && !isWord(after(s, end)) {
			return found{i, end, "[iban]"}
		}
	}
	return nothing
}

// ibanEnd returns where the IBAN that begins at from ends, or 0.
func ibanEnd(s string, from int) int {
	length := ibanLength[string([]byte{s[from] &^ 0x20, s[from+1] &^ 0x20})]
	var head, rest int // the number modulo 97: its first four characters come last
	n, i := 0, from
	for ; n < length && i < len(s); i++ {
		switch c := s[i]; {
		case isDigit(c) && n < 4:
			head = (head*10 + int(c-'0')) % 97
		case isLetter(c) && n < 4:
			head = (head*100 + letterValue(c)) % 97
		case isDigit(c):
			rest = (rest*10 + int(c-'0')) % 97
		case isLetter(c):
			rest = (rest*100 + letterValue(c)) % 97
		case (c == ' ' || c == '-') && i+1 < len(s) && s[i+1] != ' ' && s[i+1] != '-':
			continue
		default:
			return 0
		}
		n++
	}
	if length == 0 || n < length || (rest*1_000_000+head)%97 != 1 {
		return 0
	}
	return i
}

func isLetter(c byte) bool { return c|0x20-'a' < 26 }

// letterValue is 10 for A to 35 for Z.
func letterValue(c byte) int { return int(c|0x20-'a') + 10 }
