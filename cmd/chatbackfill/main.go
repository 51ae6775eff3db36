// Command chatbackfill turns chat transcript exports into Segment's four Live
// Chat events.
package main

import (
	"context"
	"os"
)

func main() {
	limitHeap()
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
