// Command chatbackfill turns chat transcript exports into Segment's four Live
// Chat events.
package main

import (
	"context"
	"os"
	"runtime/debug"
)

// gcPercent is how far the heap grows between two collections, unless GOGC says
// otherwise. Most of what a run holds is used again instead of being left to the
// collector, so that it has little to do; memory matters more.
const gcPercent = 40

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
