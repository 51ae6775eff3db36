//go:build linux || darwin || freebsd || netbsd || openbsd

package extract

import (
	"os"
	"syscall"
)

// tryLock locks f until it is closed or its process ends. Unlike the process
// id in the folder's name, the lock means the same in every container that
// shares the folder.
func tryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
