//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package extract

import "os"

// TryLock locks nothing here. An open file cannot be removed on Windows, which
// protects the temporary folder of a process that lives.
func TryLock(*os.File) error { return nil }
