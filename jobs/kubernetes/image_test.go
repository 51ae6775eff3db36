package kubernetes

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
)

const root = "../.."

// instructions returns the Dockerfile's instructions, one a line.
func instructions(t *testing.T) []string {
	t.Helper()
	text := strings.ReplaceAll(string(read(t, root+"/Dockerfile")), "\\\n", " ")
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(line), " "); line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}

// instruction returns the arguments of the last instruction of a name.
func instruction(t *testing.T, name string) string {
	t.Helper()
	for _, line := range slices.Backward(instructions(t)) {
		if args, ok := strings.CutPrefix(line, name+" "); ok {
			return args
		}
	}
	t.Fatalf("the Dockerfile has no %s", name)
	return ""
}

// imageUser is the number of the user that the image runs as.
func imageUser(t *testing.T) int64 {
	t.Helper()
	user, _, _ := strings.Cut(instruction(t, "USER"), ":")
	id, err := strconv.ParseInt(user, 10, 64)
	if err != nil || id == 0 {
		t.Fatalf("USER %s is no number, or root", user)
	}
	return id
}

func TestImage(t *testing.T) {
	const program = "/usr/local/bin/chatbackfill"
	if got := instruction(t, "ENTRYPOINT"); got != `["`+program+`"]` {
		t.Errorf("ENTRYPOINT %s", got)
	}
	if got := instruction(t, "COPY"); got != "--from=build /out/chatbackfill "+program {
		t.Errorf("COPY %s", got)
	}
	if got := instruction(t, "FROM"); !strings.HasPrefix(got, "gcr.io/distroless/static-") {
		t.Errorf("FROM %s: it has to bring certificates, time zones and /tmp", got)
	}
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(read(t, root+"/go.mod"))[1]
	if from := instructions(t)[0]; !strings.Contains(from, " golang:"+string(language)+" ") {
		t.Errorf("%s: go.mod says go %s", from, language)
	}
}

// scratch is a folder for what several tests use. It is removed after them.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "chatbackfill-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// program returns the program of the image for this machine, which is built
// once: by the Dockerfile's go build, of the files that .dockerignore leaves.
func program(t *testing.T) string {
	t.Helper()
	built.Do(func() { build(t) })
	path := filepath.Join(scratch, "chatbackfill")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the program was not built: %v", err)
	}
	return path
}

var built sync.Once

func build(t *testing.T) {
	_, command, _ := strings.Cut(instruction(t, "RUN"), " CGO_ENABLED=0 ")
	if !strings.Contains(command, "go build ") {
		t.Fatalf("RUN %s: no go build without cgo", instruction(t, "RUN"))
	}
	context := t.TempDir()
	copyContext(t, context)
	build := exec.Command("sh", "-c", "CGO_ENABLED=0 "+strings.ReplaceAll(command, "/out/", `"$OUT"/`))
	build.Dir = context
	build.Env = append(os.Environ(), "OUT="+scratch, "VERSION=v1.2.3-test", "TARGETOS="+runtime.GOOS, "TARGETARCH="+runtime.GOARCH)
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// TestImageBuilds looks at the program that the image would have.
func TestImageBuilds(t *testing.T) {
	program := program(t)
	if runtime.GOOS == "linux" {
		checkStatic(t, program)
	}
	t.Run("version", func(t *testing.T) { checkVersion(t, program) })
	eachWorkload(t, func(t *testing.T, w workload) { checkFlags(t, program, w.container().Args) })
}

// checkStatic checks that a program needs no loader and no libraries.
func checkStatic(t *testing.T, program string) {
	t.Helper()
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a segment %s: it is not static", segment.Type)
		}
	}
}

func checkVersion(t *testing.T, program string) {
	out, err := exec.Command(program, "version").CombinedOutput()
	if want := "chatbackfill v1.2.3-test\n"; err != nil || string(out) != want {
		t.Errorf("version: %q (%v), want %q", out, err, want)
	}
}

// checkFlags checks that the program knows the flags of a manifest. With --help
// it reads them all and does nothing.
func checkFlags(t *testing.T, program string, args []string) {
	out, err := exec.Command(program, append(slices.Clone(args), "--help")...).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
}

// copyContext copies what `docker build` would be given.
func copyContext(t *testing.T, to string) {
	t.Helper()
	ignored := dockerignore(t)
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		path, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		switch path = filepath.ToSlash(path); {
		case ignored(path) && entry.IsDir():
			return fs.SkipDir
		case ignored(path):
			return nil
		case entry.IsDir():
			return os.Mkdir(filepath.Join(to, path), 0o755)
		}
		return os.WriteFile(filepath.Join(to, path), read(t, name), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dockerignore returns whether a path, whose folder is not ignored, is: the last
// line that matches decides, and a folder's files go with it.
func dockerignore(t *testing.T) func(string) bool {
	t.Helper()
	var patterns []string
	for line := range strings.Lines(string(read(t, root+"/.dockerignore"))) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			patterns = append(patterns, line)
		}
	}
	return func(path string) bool {
		for _, pattern := range slices.Backward(patterns) {
			bare, keep := strings.CutPrefix(pattern, "!")
			if doublestar.MatchUnvalidated(bare, path) || doublestar.MatchUnvalidated(bare+"/**", path) {
				return !keep
			}
		}
		return false
	}
}

func TestContextHasNoSecrets(t *testing.T) {
	ignored := dockerignore(t)
	for path, want := range map[string]bool{
		".git": true, ".env": true, "prod.env": true, "jobs/prod.env": true, "secret.yaml": true, "bin": true,
		"jobs/kubernetes": true, "jobs/examples/demo.state.db": true, "jobs/examples/demo.state.db-wal": true,
		"jobs/examples/chats.parquet": true, "jobs/testdata": true, "cmd/chatbackfill/main_test.go": true,
		"go.mod": false, "go.sum": false, "jobs": false, "jobs/run.go": false, "migrations/postgres/00001_state.sql": false,
	} {
		if got := ignored(path); got != want {
			t.Errorf("%s: ignored %t, want %t", path, got, want)
		}
	}
}
