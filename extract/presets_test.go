package extract

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPresetsNeverChange compares the presets with the digests of those that
// were released. A new preset adds a line; a changed one is a new version.
func TestPresetsNeverChange(t *testing.T) {
	const file = "testdata/presets.sha256"
	var got strings.Builder
	for _, name := range PresetNames() {
		text, ok := PresetText(name)
		if !ok {
			t.Fatalf("preset %s cannot be read", name)
		}
		fmt.Fprintf(&got, "%x  %s\n", sha256.Sum256([]byte(text)), name)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("leave a preset that has been released as it is, give a new one a line in %s, and a changed one a new version (-want +got):\n%s", file, diff)
	}
}
