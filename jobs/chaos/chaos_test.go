package chaos

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var (
	full = flag.Bool("chaos.full", false, "all faults, on both sources and both stores, with many kills")
	only = flag.Int("chaos.row", 0, "only the fault with this `number`, on both sources and both stores")
	seed = flag.Uint64("chaos.seed", 1, "makes the rows, and the moments at which things break")
)

// thorough reports whether this is not the short run.
func thorough() bool { return *full || *only != 0 }

// scratch is a folder for what several tests use.
var scratch string

// atOnce is how many tests run at a time, unless -parallel says otherwise: most
// of what they do is to wait for processes, and for what times out.
const atOnce = "8"

func TestMain(m *testing.M) {
	if os.Getenv(launchVariable) != "" {
		os.Unsetenv(launchVariable)
		fmt.Fprintln(os.Stderr, launch())
		os.Exit(1)
	}
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(withScratch(m))
}

func withScratch(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "chatbackfill-chaos-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return m.Run()
}

const root = "../.."

// binary builds the program, once, as users have it.
func binary(t *testing.T) string { return built(t, plain) }

// withFailpoints is the program with its failpoints.
func withFailpoints(t *testing.T) string { return built(t, failing) }

var (
	plain   = build("chatbackfill")
	failing = build("chatbackfill-failpoint", "-tags", "failpoint,disable_grpc_modules")
)

func built(t *testing.T, build func() (string, error)) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func build(name string, flags ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		path := filepath.Join(scratch, name)
		// Compiled as for the image, so that all of it is compiled only once.
		cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-buildvcs=false", "-o", path}, flags...), "./cmd/chatbackfill")...)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build the program: %w\n%s", err, out)
		}
		return path, nil
	})
}
