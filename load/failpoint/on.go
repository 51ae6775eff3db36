//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// panics, in the place of a number, lets the program panic at the first pass.
const panics = "panic"

var (
	chosen, last = parse(os.Getenv(Variable))
	passed       atomic.Int64
)

func parse(text string) (name string, last int64) {
	name, count, ok := strings.Cut(text, "@")
	if !ok {
		return name, 1
	}
	if count == panics {
		return name, -1
	}
	last, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("read %s=%q: %v", Variable, text, err))
	}
	return name, last
}

// At marks a step of the program: it ends here, without a chance to clean up, if
// this is the chosen step and it was passed often enough; or it panics.
func At(name string) {
	if name != chosen {
		return
	}
	if last < 0 {
		panic("failpoint " + name)
	}
	if passed.Add(1) != last {
		return
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(fmt.Sprintf("end the program at %s: %v", name, err))
	}
	select {} // the signal is on its way
}
