package transform

import (
	"net/netip"
	"strings"
)

// maxAddress is the length of the longest IP address with a port behind it.
const maxAddress = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") + len(":65535")

// findAddress finds an IP address.
func findAddress(s string, start int) found {
	for i := start; i < len(s); {
		if !isAddress[s[i]] {
			i++
			continue
		}
		from := i
		for i < len(s) && isAddress[s[i]] {
			i++
		}
		if isWord(before(s, from)) || isWord(after(s, i)) || i-from > maxAddress {
			continue
		}
		if n := addressLen(s[from:i]); n > 0 && !continues(s, from+n) {
			return found{from, from + n, "[ip]"}
		}
	}
	return nothing
}

// isAddress are the bytes that IP addresses are made of.
var isAddress = func() (t [256]bool) {
	for _, c := range []byte("0123456789abcdefABCDEF:.") {
		t[c] = true
	}
	return t
}()

// addressLen returns how much of a word is an IP address: the word without what
// a sentence or a port adds to it.
func addressLen(word string) int {
	word = strings.TrimRight(word, ".")
	if ip, _, ok := strings.Cut(word, ":"); ok && strings.Count(ip, ".") == 3 {
		word = ip
	}
	if strings.HasSuffix(word, ":") && !strings.HasSuffix(word, "::") {
		word = word[:len(word)-1]
	}
	has := survey(word)
	if has.digits == 0 && has.colons < 3 || has.dots < 3 && has.colons < 2 {
		return 0
	}
	if _, err := netip.ParseAddr(word); err != nil {
		return 0
	}
	return len(word)
}

// continues reports whether the word that ends at i goes on behind a hyphen, as
// in 1.2.3.4-beta.
func continues(s string, i int) bool { return after(s, i) == '-' && isWord(after(s, i+1)) }
