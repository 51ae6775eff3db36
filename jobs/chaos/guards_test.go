package chaos

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// guard is something in the program that keeps a promise. Without it the test
// that is named must fail: otherwise nobody would notice that it is gone.
type guard struct {
	name    string
	file    string
	without []string // texts of the file and what takes their place, in turn
	folder  string   // of the test
	test    string
	rapid   bool // the test draws what it tries, and must not keep what made it fail
	quick   bool // part of the short run
}

var guards = []guard{
	{
		name: "an error after the last row counts", file: "extract/pgconnect.go",
		without: []string{"\t_, err = result.Close()\n\treturn err\n", "\tresult.Close()\n\treturn nil\n"},
		folder:  "extract", test: "TestPostgresStatementCut",
	},
	{
		name: "a snapshot sees the rows of what was read", file: "extract/pgconnect.go",
		without: []string{"\t\terr = reading.checkSnapshot(ctx)\n", "\t\terr = nil\n"},
		folder:  "extract", test: "TestPostgresRewritten",
	},
	{
		name: "a checkpoint names its epoch", file: "jobs/checkpoint.go",
		without: []string{"SET epoch = epoch WHERE job_id = $1 AND shard = $2 AND epoch = $3`", "SET epoch = epoch WHERE job_id = $1 AND shard = $2 AND epoch > 0 * $3`"},
		folder:  "jobs", test: "TestSQLite",
	},
	{
		name: "rows of one time have an order", file: "transform/order.go",
		without: []string{"\treturn compareIDs(x.id, y.id)\n}\n\n// compareIDs", "\treturn 0\n}\n\n// compareIDs"},
		folder:  "transform", test: "TestLaw1", rapid: true, quick: true,
	},
	{
		name: "a redirect is not followed", file: "load/transport.go",
		without: []string{
			"if x.answer.verdict() != accepted {", "if x.answer.verdict() != accepted && x.answer.location == \"\" {",
			"Request:    req,\n\t}, nil", "Request:    req,\n\t\tHeader: http.Header{\"Location\": {x.answer.location}},\n\t}, nil",
		},
		folder: "load", test: "TestSend_ErrRedirect", quick: true,
	},
	{
		name: "an interrupted run does not look finished", file: "jobs/exit.go",
		without: []string{"ErrInterrupted = &Error{Exit: ExitInterrupted,", "ErrInterrupted = &Error{Exit: ExitDone,"},
		folder:  "jobs", test: "TestDeliveryStopped",
	},
	{
		name: "what is in the ledger is not sent again", file: "jobs/rebuild.go",
		without: []string{"\t\tcase known && !again:\n", "\t\tcase known && !again && hash == ^e.Hash():\n"},
		folder:  "jobs", test: "TestPostgresPasses",
	},
	{
		name: "the position does not pass a chunk that failed", file: "jobs/pipeline.go",
		without: []string{"\t\tif s.err != nil {\n\t\t\tcontinue\n", "\t\tif s.err != nil && len(s.events) == 0 {\n\t\t\tcontinue\n"},
		folder:  "jobs", test: "TestPipelineAgainstAModel", rapid: true,
	},
}

// TestGuards: fault 76. Each guard is taken out of the program, and a test must
// turn red.
func TestGuards(t *testing.T) {
	if *only != 0 && *only != 76 {
		t.Skip("another fault was asked for")
	}
	t.Parallel()
	for _, g := range guards {
		t.Run(g.name, func(t *testing.T) {
			overlay := g.overlay(t)
			if !g.quick && !thorough() {
				return // what the test says is part of make chaos
			}
			// What go vet says, and what debuggers need, is of no use here.
			cmd := exec.Command("go", "test", "-count=1", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-run", "^"+g.test+"$", "./"+g.folder)
			if g.rapid {
				cmd.Args = append(cmd.Args, "-rapid.nofailfile")
			}
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("without it %s of %s is still green", g.test, g.folder)
			}
			if !regexp.MustCompile(`(?m)^\s*--- FAIL: ` + g.test).Match(out) {
				t.Fatalf("go test: %v\n%s", err, out)
			}
		})
	}
}

// overlay is a file that tells go to read the source without the guard.
func (g *guard) overlay(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, g.file))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(source)
	for i := 0; i < len(g.without); i += 2 {
		if strings.Count(text, g.without[i]) != 1 {
			t.Fatalf("%s does not have, once:\n%s", g.file, g.without[i])
		}
		text = strings.Replace(text, g.without[i], g.without[i+1], 1)
	}
	changed := filepath.Join(t.TempDir(), "changed.go")
	overlay := filepath.Join(t.TempDir(), "overlay.json")
	encoded, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{changed: []byte(text), overlay: encoded} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}
