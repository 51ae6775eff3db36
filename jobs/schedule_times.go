package jobs

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // a schedule means the same on machines without time zones

	"github.com/robfig/cron/v3"
)

// timetable says when a job's slots come.
//
// The expression is about the clock on the wall in the job's time zone, which is
// set forward and back. A slot comes when that clock first shows its time or a
// later one. So a time that is skipped comes at the moment the clock is set
// forward, and a time that is shown twice comes once, the first time:
//
//	wall  01:30  02:00→03:00  03:30        02:30  03:00→02:00  02:30  03:00
//	slot  01:30  02:30 comes  03:30        02:30               -      03:00
//
// A schedule that has slots in every hour of the day is about elapsed time: its
// slots go on through an hour that is shown twice, and there is nothing to make
// up for in one that is skipped.
type timetable struct {
	cron    *cron.SpecSchedule // of times without a zone, which are kept as times in UTC
	zone    *time.Location
	elapsed bool // it has slots in every hour
}

// newTimetable returns the timetable of a job that has a schedule.
func newTimetable(expression, zone string) (*timetable, error) {
	if err := checkCron(expression); err != nil {
		return nil, fmt.Errorf("read schedule %q: %w", expression, err)
	}
	parsed, err := cron.ParseStandard(expression)
	if err != nil {
		return nil, fmt.Errorf("read schedule %q: %w", expression, err)
	}
	schedule, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("read schedule %q: %w", expression, errors.New("it has no fixed times"))
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("read timezone %q: %w", zone, err)
	}
	schedule.Location = time.UTC
	const everyHour = 1<<24 - 1
	return &timetable{schedule, location, schedule.Hour&everyHour == everyHour}, nil
}

// next returns the first slot after t, in UTC; the zero time if there is none.
func (s *timetable) next(t time.Time) time.Time {
	if s.elapsed {
		return s.nextElapsed(t)
	}
	wall := s.cron.Next(shownUntil(t, s.zone))
	if wall.IsZero() {
		return wall
	}
	return firstShown(wall, s.zone)
}

// upcoming returns the next n slots after t.
func (s *timetable) upcoming(t time.Time, n int) []time.Time {
	var slots []time.Time
	for range n {
		if t = s.next(t); t.IsZero() {
			break
		}
		slots = append(slots, t)
	}
	return slots
}

// due returns the slots after last up to now, oldest first.
func (s *timetable) due(last, now time.Time) []time.Time {
	var slots []time.Time
	for slot := s.next(last); !slot.IsZero() && !slot.After(now); slot = s.next(slot) {
		slots = append(slots, slot)
	}
	return slots
}

// nextElapsed returns the first time after t at which the clock shows a time of
// the schedule.
func (s *timetable) nextElapsed(t time.Time) time.Time {
	for {
		offset, end := offsetAt(t, s.zone)
		wall := s.cron.Next(wallClock(t, offset))
		if wall.IsZero() {
			return wall
		}
		slot := wall.Add(-offset)
		if end.IsZero() || slot.Before(end) {
			return slot
		}
		// The clock is changed before: what it shows then counts too.
		offset, _ = offsetAt(end, s.zone)
		if shown := wallClock(end, offset); s.cron.Next(shown.Add(-time.Second)).Equal(shown) {
			return end.UTC()
		}
		t = end
	}
}

// wallClock returns the time that a clock with an offset shows at t.
func wallClock(t time.Time, offset time.Duration) time.Time { return t.UTC().Add(offset) }

// offsetAt returns how far the clock in a zone is ahead of UTC at t, and when
// that changes; the zero time if it never does.
func offsetAt(t time.Time, zone *time.Location) (offset time.Duration, end time.Time) {
	local := t.In(zone)
	_, seconds := local.Zone()
	_, end = local.ZoneBounds()
	return time.Duration(seconds) * time.Second, end
}

// No clock was ever set back or forward by more, and none is further from UTC.
const greatestShift = 26 * time.Hour

// shownUntil returns the latest time that the clock in a zone has shown up to t.
func shownUntil(t time.Time, zone *time.Location) time.Time {
	latest := time.Time{}
	for at := t.Add(-greatestShift); ; {
		offset, end := offsetAt(at, zone)
		last := end.IsZero() || end.After(t)
		if last {
			end = t
		} else {
			end = end.Add(-time.Nanosecond)
		}
		if shown := wallClock(end, offset); shown.After(latest) {
			latest = shown
		}
		if last {
			return latest
		}
		at = end.Add(time.Nanosecond)
	}
}

// firstShown returns, in UTC, when the clock in a zone first shows a time or a
// later one.
func firstShown(wall time.Time, zone *time.Location) time.Time {
	for at := wall.Add(-greatestShift); ; {
		offset, end := offsetAt(at, zone)
		shown := wall.Add(-offset)
		if shown.Before(at) {
			return at.UTC()
		}
		if end.IsZero() || shown.Before(end) {
			return shown.UTC()
		}
		at = end
	}
}
