package extract

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Panic is the error that stands for a panic. What was panicked with may hold
// anything, message bodies included: only the runtime's own words are shown.
type Panic struct {
	Stack []byte // of the goroutine, as [debug.Stack] gives it

	value any
}

// Contain calls do, and makes a panic in it its error. A goroutine that works
// for a run does all its work in here: a panic that nobody catches would end the
// program, and all other runs with it.
func Contain(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &Panic{debug.Stack(), v}
		}
	}()
	return do()
}

func (p *Panic) Error() string {
	var known runtime.Error
	if err, ok := p.value.(error); ok && errors.As(err, &known) {
		return "panic: " + known.Error()
	}
	return fmt.Sprintf("panic with a %T", p.value)
}
