package main

import (
	"context"
	"os"
	"testing"
)

// asProgram makes the test binary behave as the program, so that tests can
// start it, stop it and kill it.
const asProgram = "CHATBACKFILL_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
