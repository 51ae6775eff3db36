//go:build !linux

package chaos

import (
	"errors"
	"os"
	"os/exec"
)

const launchVariable = "CHAOS_LAUNCH"

func launch() error { return errors.ErrUnsupported }

func launcher(string, []string) (*exec.Cmd, *os.File, error) { return nil, nil, errors.ErrUnsupported }

func received(*os.File) (int, error) { return 0, errors.ErrUnsupported }

func answerCalls(int, *os.Process, func(call) fate) {}
