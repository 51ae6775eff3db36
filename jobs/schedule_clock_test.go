package jobs

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSchedulerClockIsSet sets the clock of a daemon that waits, half past one
// of slots at every full hour, and maybe back again: what comes to have been
// missed is made up for by one run, and no slot is run twice.
func TestSchedulerClockIsSet(t *testing.T) {
	const hour, day = time.Hour, 24 * time.Hour
	for name, test := range map[string]struct {
		set  []time.Duration // the clock is set so, three hours later so, …
		want []string        // when a run begins, its slot, how many others it makes up for
	}{
		"an hour forward": {[]time.Duration{hour}, []string{
			"1 Jan 01:00:00 for 01:00", "1 Jan 02:33:00 for 02:00", "1 Jan 03:00:00 for 03:00", "1 Jan 04:00:00 for 04:00", "1 Jan 05:00:00 for 05:00"}},
		"an hour back": {[]time.Duration{-hour}, []string{
			"1 Jan 01:00:00 for 01:00", "1 Jan 02:00:00 for 02:00", "1 Jan 03:00:00 for 03:00"}},
		"a day forward": {[]time.Duration{day}, []string{
			"1 Jan 01:00:00 for 01:00", "2 Jan 01:33:00 for 01:00 and 23 more", "2 Jan 02:00:00 for 02:00", "2 Jan 03:00:00 for 03:00", "2 Jan 04:00:00 for 04:00"}},
		"a day back, and right again": {[]time.Duration{-day, day}, []string{
			"1 Jan 01:00:00 for 01:00", "1 Jan 04:33:00 for 04:00 and 2 more", "1 Jan 05:00:00 for 05:00", "1 Jan 06:00:00 for 06:00", "1 Jan 07:00:00 for 07:00"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := jobFolder(t, daemonJob)
			synctest.Test(t, func(t *testing.T) {
				var got []string
				var d *daemon
				d = newDaemon(t, dir, func(_ context.Context, e Execution) error {
					run := fmt.Sprintf("%s for %s", d.now().UTC().Format("2 Jan 15:04:05"), e.slot.at.Format("15:04"))
					if n := len(e.slot.late); n > 0 {
						run += fmt.Sprintf(" and %d more", n)
					}
					got = append(got, run)
					return nil
				})
				d.start()
				time.Sleep(92*time.Minute + 30*time.Second)
				for _, by := range test.set {
					d.setClock(by)
					time.Sleep(3 * time.Hour)
				}
				if err := d.end(); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("runs (-want +got)\n%s", diff)
				}
			})
		})
	}
}

// TestSchedulerClockIsSetBackBeforeARetry sets the clock back by a day while a
// slot waits to be tried again: it does not wait for a day.
func TestSchedulerClockIsSetBackBeforeARetry(t *testing.T) {
	dir := jobFolder(t, daemonJob)
	synctest.Test(t, func(t *testing.T) {
		failed := false
		d := newDaemon(t, dir, func(context.Context, Execution) error {
			if !failed {
				failed = true
				return ErrInterrupted
			}
			return nil
		}).start()
		time.Sleep(time.Hour + 10*time.Second)
		d.setClock(-24 * time.Hour)
		time.Sleep(time.Minute)
		if err := d.end(); err != nil {
			t.Error(err)
		}
		d.wantRuns("01:00:00", "01:00:30")
		d.wantStates("00:00 watched", "01:00 done")
	})
}
