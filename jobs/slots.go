package jobs

import "time"

// The states of a slot in the store.
const (
	slotWatched = "watched" // no slot: the time from which on a daemon looks after the job
	slotWaiting = "waiting" // to be run, or to be run again
	slotRunning = "running" // being run, by whoever holds the lease with its epoch
	slotDone    = "done"    // its run ended, for better or worse
	slotMissed  = "missed"  // not done before the next came, which makes up for it
	slotSkipped = "skipped" // missed, and not to be made up for
)

// slot is one scheduled time of a job as the store has it.
type slot struct {
	at       time.Time
	state    string
	attempts int
	retryAt  time.Time // waiting: not to be run before
	exit     int       // of the last attempt; -1: there was none
	endedAt  time.Time // when the last attempt ended
	runID    string    // of the last attempt
}

// slotGrace is how late a slot may begin to be run and still count as on time.
const slotGrace = time.Minute

// decision is what a daemon does about a job now.
type decision struct {
	run  time.Time   // the slot to run; zero: none
	late []time.Time // slots before it that were missed
	skip []time.Time // slots that were missed and are not made up for
	wait time.Time   // when to decide again; zero: never
}

// decide says what is to be done at a time, given the last slot that the store
// has. It does not know what others do meanwhile: that is found out when the
// slot is claimed.
func (s *timetable) decide(last slot, now time.Time, catchUp bool) decision {
	fresh := s.due(last.at, now)
	if len(fresh) == 0 {
		return s.again(last, now, catchUp)
	}
	newest := fresh[len(fresh)-1]
	switch {
	case catchUp:
		return decision{run: newest, late: fresh[:len(fresh)-1]}
	case now.Sub(newest) <= slotGrace:
		return decision{run: newest, skip: fresh[:len(fresh)-1]}
	}
	return decision{skip: fresh, wait: s.next(now)}
}

// again says what is to be done when no slot came since the last.
func (s *timetable) again(last slot, now time.Time, catchUp bool) decision {
	next := s.next(now)
	switch {
	case last.state == slotRunning:
		// The lease tells whether whoever ran it is still there.
		return decision{run: last.at}
	case last.state != slotWaiting:
		return decision{wait: next}
	case last.attempts == 0 && !catchUp && now.Sub(last.at) > slotGrace:
		return decision{skip: []time.Time{last.at}, wait: next}
	case last.mayRetry(now):
		return decision{run: last.at}
	case next.IsZero() || last.retryAt.Before(next):
		return decision{wait: last.retryAt}
	}
	return decision{wait: next}
}

// The waits before a slot is tried again, doubling from the first to the last.
const (
	firstSlotRetry = 30 * time.Second
	lastSlotRetry  = 30 * time.Minute
)

// mayRetry reports whether a slot that waits may be tried. None waits for longer
// than lastSlotRetry: such a time is of a clock that was set back since.
func (s *slot) mayRetry(now time.Time) bool {
	wait := s.retryAt.Sub(now)
	return wait <= 0 || wait > lastSlotRetry
}

// slotRetry returns how long to wait after so many attempts.
func slotRetry(attempts int) time.Duration {
	wait := firstSlotRetry
	for range attempts - 1 {
		if wait *= 2; wait >= lastSlotRetry {
			return lastSlotRetry
		}
	}
	return wait
}

// settled reports whether a slot is done when its run ended like this. A run
// that was interrupted, or could not be done now, is tried again; one that ends
// the same way whenever it is tried is not.
func settled(exit int) bool {
	switch exit {
	case ExitDone, ExitUsage, ExitDiffers, ExitRefused, ExitRejects:
		return true
	}
	return false
}
