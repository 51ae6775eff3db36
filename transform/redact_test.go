package transform

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestRedact(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		// e-mail addresses
		{"mail ann@example.com.", "mail [email]."},
		{"<ann.o'neil+x@mail.example.co.uk>, 'bob@example.org'", "<[email]>, '[email]'"},
		{"mailto:ann@example.com?subject=x", "mailto:[email]?subject=x"},
		{"email=ann@example.com&x=1", "email=[email]&x=1"},
		{"jürgen@müller.de", "[email]"},
		{"a@b.co,c@d.co", "[email],[email]"},
		// telephone numbers, international
		{"+1 212 555 0123", "[phone]"},
		{"+1 (212) 555-0123", "[phone]"},
		{"+12125550123.", "[phone]."},
		{"tel:+49-30-901820", "tel:[phone]"},
		{"+44 (0)20 7946 0958", "[phone]"},
		{"0049 30 901820", "[phone]"},
		{"(+33) 1 23 45 67 89", "[phone]"},
		{"+351 912 345 678", "[phone]"},
		// US and Canada
		{"212-555-0123", "[phone]"},
		{"(212) 555-0123", "[phone]"},
		{"(call 212-555-0123)", "(call [phone])"},
		{"(212-555-0123)", "([phone])"},
		{"212.555.0123 or 2125550123", "[phone] or [phone]"},
		{"1-800-555-0199 x12", "[phone] x12"},
		{"212-555-0123x45", "[phone]x45"},
		{"212\u00a0555\u00a00123", "[phone]"},
		{"2024-05-13 212-555-0123", "2024-05-13 [phone]"},
		// UK
		{"020 7946 0958", "[phone]"}, {"07911 123456", "[phone]"}, {"07911123456", "[phone]"}, {"(020) 7946 0958", "[phone]"},
		// Germany
		{"030/901820-12", "[phone]"}, {"(030) 901820", "[phone]"}, {"0170 1234567", "[phone]"}, {"0170/123 45 67", "[phone]"},
		// France
		{"01 23 45 67 89", "[phone]"}, {"06.12.34.56.78", "[phone]"}, {"0612345678", "[phone]"},
		// Spain
		{"612 345 678", "[phone]"}, {"91 234 56 78", "[phone]"}, {"912 34 56 78", "[phone]"},
		// Italy
		{"06 1234 5678", "[phone]"}, {"347 123 4567", "[phone]"}, {"3471234567", "[phone]"}, {"347 1234567", "[phone]"},
		// the Netherlands
		{"06-12345678", "[phone]"}, {"020 123 4567", "[phone]"},
		// India, Australia, Japan
		{"98765 43210", "[phone]"}, {"0412 345 678", "[phone]"}, {"03-1234-5678", "[phone]"},
		// payment cards
		{"4111 1111 1111 1111", "[card]"}, {"4111-1111-1111-1111", "[card]"}, {"4111111111111111", "[card]"},
		{"3782 822463 10005", "[card]"}, {"378282246310005", "[card]"}, {"5555555555554444,", "[card],"},
		{"6011 1111 1111 1117 12/27", "[card] 12/27"}, {"4222222222222", "[card]"}, {"my card:4242424242424242", "my card:[card]"},
		{"4111 1111 1111 1112", "4111 1111 1111 1112"}, // the check digit is wrong
		// IBANs
		{"DE89 3704 0044 0532 0130 00", "[iban]"}, {"DE89370400440532013000.", "[iban]."}, {"gb29 nwbk 6016 1331 9268 19", "[iban]"},
		{"NO93 8601 1117 947", "[iban]"}, {"MT84MALT011000012345MTLCAST001S", "[iban]"},
		{"DE88370400440532013000", "DE88370400440532013000"}, // the check digits are wrong
		{"XX89370400440532013000", "XX89370400440532013000"}, // no such country
		{"DE893704004405320130001", "DE893704004405320130001"},
		// IP addresses
		{"192.168.0.1", "[ip]"}, {"http://10.0.0.1:8080/x", "http://[ip]:8080/x"}, {"1.2.3.4.", "[ip]."}, {"10.0.0.0/8", "[ip]/8"},
		{"fe80::1%eth0", "[ip]%eth0"}, {"[2001:db8::1]:443", "[[ip]]:443"}, {"2001:0db8:0000:0000:0000:ff00:0042:8329", "[ip]"},
		{"::ffff:192.0.2.128", "[ip]"}, {"dead:beef::cafe:f00d", "[ip]"}, {"::1: no route", "[ip]: no route"},
		{"999.1.1.1", "999.1.1.1"}, {"1.2.3.4.5", "1.2.3.4.5"}, {"v1.2.3.4", "v1.2.3.4"}, {"1.2.3.4-beta", "1.2.3.4-beta"},
	} {
		var r redactor
		if got := r.clean(c.in); got != c.want {
			t.Errorf("clean(%q)\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

func TestRedactLeavesAlone(t *testing.T) {
	for _, s := range []string{
		"order #10482-77", "ORD-2023-004512", "order 12345678", "INV-2024-0612345678", "#2125550123", "https://shop.example/orders/4155550123",
		"1.299,00 €", "$1,299.00", "EUR 12.345.678,90", "1 299 000 €", "£2125550123", "0.123456789", "50%",
		"2024-05-13", "13.05.2024", "05/13/2024", "2024-05-13T14:05:33Z", "01.02.2024 12 Uhr", "13.05.24",
		"14:05:33", "14:05", "v1.2.3", "1.2.3", "Chrome/120.0.6099.109-x", "16:9",
		"1Z999AA10123456784", "9400 1000 0000 0000 0000 00", "1715601600", "1715601600000", "RR123456789DE",
		"550e8400-e29b-41d4-a716-446655440000", "00000000-0000-4000-8000-000000000000",
		"d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "00:1a:2b:3c:4d:5e",
		"std::string a::b", "bad:: luck", "@support", "user@localhost", "a @ b . com", "x@y", "100 x 200", "2 x 3-4",
		"40.7128, -74.0060", "ISBN 978-3-16-148410-0", "9783161484100",
	} {
		var r redactor
		if got := r.clean(s); got != s {
			t.Errorf("clean(%q) = %q", s, got)
		}
	}
}

func TestRedactJobPatterns(t *testing.T) {
	r, err := newRedactor(map[string]string{
		"order":    `ORD-\d{4}-\d+`,
		"customer": `(?i)customer \w+@\w+\.com`,
		"nothing":  `z*`,
	})
	if err != nil {
		t.Fatal(err)
	}
	got := r.clean("Customer ann@example.com, bob@example.com: ORD-2023-0612345678 zz")
	if want := "[customer], [email]: [order] [nothing]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestErrRedactPattern(t *testing.T) {
	_, err := NewBuilder(Options{MessageBody: RedactBody, Redact: map[string]string{"order": "("}})
	if err == nil || !strings.Contains(err.Error(), `redact pattern "order"`) {
		t.Errorf("got %v", err)
	}
}

var redactPiece = rapid.SampledFrom([]string{
	"0", "1", "2", "4111", "1111", "212", "555", "0123", "+", "(", ")", " ", "-", ".", "/", ":", "::", "@", "a", "fe80", "ann", ".com",
	"DE89", "3704", "0044", "0532", "0130", "00", "#", "x", "é", "\u00a0", "\xff", "2024", "05", "13", "€", ",", "_", "[phone]", "192.168.0.1",
	"ann@example.com", "+1 212 555 0123", "4111 1111 1111 1111", "2001:db8::1", "DE89370400440532013000",
})

func TestRedactTwiceIsRedactOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r redactor
		once := r.clean(strings.Join(rapid.SliceOf(redactPiece).Draw(t, "pieces"), ""))
		if twice := r.clean(once); twice != once {
			t.Fatalf("%q becomes %q", once, twice)
		}
	})
}

func TestRedactFindsAmongText(t *testing.T) {
	words := rapid.SampledFrom([]string{"call", "me", "please,", "thanks!", "order", "12", "at", "14:05", "é", "(now)", "1.299,00"})
	secrets := map[string]string{
		"ann@example.com": "[email]", "+1 (212) 555-0123": "[phone]", "4111 1111 1111 1111": "[card]",
		"DE89 3704 0044 0532 0130 00": "[iban]", "192.168.0.1": "[ip]", "2001:db8::1": "[ip]", "020 7946 0958": "[phone]",
	}
	names := keys(secrets)
	rapid.Check(t, func(t *rapid.T) {
		var in, want []string
		for range rapid.IntRange(1, 6).Draw(t, "n") {
			word := words.Draw(t, "word")
			in, want = append(in, word), append(want, word)
			secret := rapid.SampledFrom(names).Draw(t, "secret")
			in, want = append(in, secret+";"), append(want, secrets[secret]+";")
		}
		var r redactor
		// A number may swallow a number before it, but what is secret never stays.
		got := r.clean(strings.Join(in, " "))
		for _, secret := range names {
			if strings.Contains(got, secret) {
				t.Fatalf("%q stays in %q", secret, got)
			}
		}
		if !strings.Contains(strings.Join(in, " "), " 12 ") && got != strings.Join(want, " ") {
			t.Fatalf("got %q, want %q", got, strings.Join(want, " "))
		}
	})
}

func TestRedactKeepsPlainText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Map(func(r rune) rune {
			if unicode.IsDigit(r) || r == '@' || r == ':' {
				return '-'
			}
			return r
		}, rapid.String().Draw(t, "s"))
		var r redactor
		if got := r.clean(s); got != s {
			t.Fatalf("clean(%q) = %q", s, got)
		}
	})
}

// Every byte of an IBAN's country must be two letters and its length one that
// a bank account can have.
func TestIBANLengths(t *testing.T) {
	for country, n := range ibanLength {
		if !regexp.MustCompile(`^[A-Z]{2}$`).MatchString(country) || n < 15 || n > 34 {
			t.Errorf("%s: %d", country, n)
		}
	}
}

// FuzzRedact: whatever the text, what is redacted stays valid if it was, and
// redacting it again changes nothing.
func FuzzRedact(f *testing.F) {
	for _, text := range []string{
		"", "mail ann@example.com.", "+1 (212) 555-0123", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "192.168.0.1 2001:db8::1",
		"1::2:+12125550123", "a@b@c@d.co", "\xff@\xfe.com", strings.Repeat("1-", 500), strings.Repeat("@", 500), "[email][phone]",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r redactor
		once := r.clean(text)
		if utf8.ValidString(text) && !utf8.ValidString(once) {
			t.Errorf("%q becomes %q", text, once)
		}
		if twice := r.clean(once); twice != once {
			t.Errorf("%q becomes %q, and that %q", text, once, twice)
		}
	})
}
