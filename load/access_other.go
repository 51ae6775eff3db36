//go:build !unix

package load

// mayWrite trusts in it: only creating a file would tell.
func mayWrite(string) error { return nil }
