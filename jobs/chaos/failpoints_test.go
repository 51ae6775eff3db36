package chaos

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/failpoint"
)

var mark = regexp.MustCompile(`failpoint\.At\("([a-z-]+)"\)`)

// failpoints are those in the program's source: a new one is killed at without
// anybody adding it here.
func failpoints(t *testing.T) (names []string) {
	t.Helper()
	for _, folder := range []string{"extract", "transform", "load", "jobs", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, match := range mark.FindAllSubmatch(source, -1) {
				names = append(names, string(match[1]))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(names)
	return names
}

// killAtFailpoints kills the program at the first, second and third pass of
// every failpoint, each time with further rows, and lets the next run go on.
func killAtFailpoints(r *rig) {
	names := failpoints(r.T)
	if len(names) < 15 || len(slices.Compact(slices.Clone(names))) != len(names) {
		r.Fatalf("failpoints: %q", names)
	}
	for i, name := range names {
		r.Run(name, func(t *testing.T) {
			t.Parallel()
			killAtFailpoint(newRig(t, r.combination, r.seed+uint64(i), someChats/2), name)
		})
	}
}

func killAtFailpoint(r *rig, name string) {
	r.binary = withFailpoints(r.T)
	switch {
	case strings.HasPrefix(name, "file-"):
		r.intoFile("events.ndjson")
	case strings.HasPrefix(name, "part-"):
		r.intoFile("events.parquet")
	}
	for pass := 1; pass <= passes(); pass++ {
		if pass > 1 {
			r.next()
		}
		if name == "file-cut" { // only what another kill has left is cut off
			r.killAt("file-written", 1)
		}
		reached := r.killAt(name, pass)
		if pass == 1 && !reached {
			r.Fatalf("no run passes %s", name)
		}
		r.again()
		r.check()
	}
}

func passes() int {
	if thorough() {
		return 3
	}
	return 1
}

// killAt runs the job until it passes a failpoint for the given time, and
// reports whether it did so before it was done.
func (r *rig) killAt(name string, pass int) bool {
	r.Helper()
	p := r.startWith(map[string]string{failpoint.Variable: fmt.Sprintf("%s@%d", name, pass)}, "run", "job.yaml")
	switch code := p.exit(); code {
	case killed:
		r.kills++
		return true
	case jobs.ExitDone:
		return false
	default:
		r.Fatalf("seed %d: %s: exit %d\n%s", r.seed, name, code, p.output.String())
		return false
	}
}
