//go:build linux || darwin || freebsd || netbsd || openbsd

package extract

import (
	"os"
	"syscall"
)

// TryLock locks f until it is closed or its process ends. The error is
// EWOULDBLOCK if it is locked already. Unlike a process id, the lock means the
// same in every container that shares the folder.
func TryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
