//go:build unix

package load

import "golang.org/x/sys/unix"

// mayWrite returns why this user may not create files in a folder.
func mayWrite(folder string) error { return unix.Access(folder, unix.W_OK|unix.X_OK) }
