package transform

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// An index holds what a map would, few keys or many, however often it is reset.
func TestIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index[int]
		for range rapid.IntRange(1, 3).Draw(t, "uses") {
			x.reset()
			m := map[string]int{}
			for i := range rapid.IntRange(0, 3*few).Draw(t, "steps") {
				key := fmt.Sprint(rapid.IntRange(0, 2*few).Draw(t, "key"))
				key += rapid.SampledFrom([]string{"", "@example.com", "\x00"}).Draw(t, "end")
				got, want, ok := x.find(key), m[key], false
				if _, ok = m[key]; ok != (got != nil) || ok && *got != want {
					t.Fatalf("find %s: %v, want %d %v", key, got, want, ok)
				}
				if !ok {
					x.add(key, i)
					m[key] = i
				}
			}
		}
	})
}
