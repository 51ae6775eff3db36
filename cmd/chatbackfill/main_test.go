package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// scratch is a folder for what several tests use. It is removed after them.
var scratch string

func TestMain(m *testing.M) {
	testscript.Main(scratched{m}, map[string]func(){"chatbackfill": program})
}

// scratched runs tests with a scratch folder.
type scratched struct{ *testing.M }

func (s scratched) Run() int {
	var err error
	if scratch, err = os.MkdirTemp("", "chatbackfill-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return s.M.Run()
}

func program() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// TestScripts runs the commands as a person would. A script checks exit codes
// with "status".
func TestScripts(t *testing.T) {
	examples, err := filepath.Abs("../../jobs/examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("EXAMPLES", examples)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status},
	})
}

// status CODE COMMAND... runs the program and checks its exit code.
func status(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		code = strconv.Itoa(exit.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != args[0] {
		ts.Fatalf("exit %s, want %s", code, args[0])
	}
}
