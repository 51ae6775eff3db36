//go:build !linux

package jobs

// unmapProgram does nothing where the system does not offer it.
func unmapProgram() error { return nil }
