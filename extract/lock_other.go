//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package extract

import "os"

// tryLock locks nothing here. An open file cannot be removed on Windows, which
// protects the folder of a process that lives.
func tryLock(*os.File) error { return nil }
