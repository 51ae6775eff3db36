package jobs

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// smaps is what the system says of a program that was linked at its start: it
// has a part that was written to and may not be any more.
const smaps = `00400000-02a70000 r-xp 00000000 fe:00 1323 /opt/my programs/chatbackfill
Rss:               25920 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
02a70000-02b88000 r--p 02670000 fe:00 1323 /opt/my programs/chatbackfill
Rss:                 120 kB
Anonymous:           120 kB
02b88000-05788000 r--p 02788000 fe:00 1323 /opt/my programs/chatbackfill
Anonymous:             0 kB
05788000-05958000 rw-p 05388000 fe:00 1323 /opt/my programs/chatbackfill
Anonymous:             0 kB
7faaba7e9000-7faaba93f000 r-xp 00028000 fe:00 99 /usr/lib/libc.so.6
Anonymous:             0 kB
7faabb000000-7faabb002000 rw-p 00000000 00:00 0
Anonymous:             0 kB
`

func TestUnchangedMappings(t *testing.T) {
	const program = "/opt/my programs/chatbackfill"
	got, err := unchangedMappings(strings.NewReader(smaps), program)
	want := []mapping{{0x400000, 0x2a70000, "r-xp", program}, {0x2b88000, 0x5788000, "r--p", program}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mapping{})); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// TestUnmapProgram goes on after the pages of the program are gone, with its
// code and constants as they were.
func TestUnmapProgram(t *testing.T) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if unchanged, err := unchangedMappings(f, program); err != nil || len(unchanged) == 0 {
		t.Errorf("nothing of %s can be given back: %v", program, err)
	}
	if err := unmapProgram(); err != nil {
		t.Error(err)
	}
}
