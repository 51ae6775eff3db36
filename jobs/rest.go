package jobs

import "runtime/debug"

// rest gives back the memory that a daemon needs only while it works: what runs
// have left behind, and what is mapped of the program's file.
func (s *Scheduler) rest() {
	debug.FreeOSMemory()
	if err := unmapProgram(); err != nil {
		s.log.Debug("cannot give back the memory of the program's file", "error", err)
		return
	}
	s.log.Debug("nothing runs: memory is given back")
}
