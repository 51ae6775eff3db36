package transform

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCountPersonalData(t *testing.T) {
	counts := make(map[string]int)
	for _, text := range []string{
		"write to ana@example.com or [email], or call +12125550123",
		"again ana@example.com from 192.168.10.20", "card 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00", "order 4711 is late",
	} {
		CountPersonalData(text, counts)
	}
	want := map[string]int{"email": 2, "phone": 1, "ip": 1, "card": 1, "iban": 1}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
}
