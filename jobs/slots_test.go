package jobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// at returns a time of a day.
func at(hour, minute int) time.Time { return time.Date(2026, 5, 6, hour, minute, 0, 0, time.UTC) }

func TestDecide(t *testing.T) {
	hourly := timesOf(t, "0 * * * *", "Etc/UTC")
	done := func(hour int) slot { return slot{at: at(hour, 0), state: slotDone, attempts: 1} }
	waiting := func(attempts int, retry time.Time) slot {
		return slot{at: at(9, 0), state: slotWaiting, attempts: attempts, retryAt: retry}
	}
	for name, test := range map[string]struct {
		last   slot
		now    time.Time
		noMore bool // catch_up: false
		want   decision
	}{
		"nothing is due":                       {last: done(9), now: at(9, 30), want: decision{wait: at(10, 0)}},
		"a slot comes":                         {last: done(9), now: at(10, 0), want: decision{run: at(10, 0), late: []time.Time{}}},
		"slots were missed":                    {last: done(7), now: at(10, 20), want: decision{run: at(10, 0), late: []time.Time{at(8, 0), at(9, 0)}}},
		"slots were missed and are skipped":    {last: done(7), now: at(10, 20), noMore: true, want: decision{skip: []time.Time{at(8, 0), at(9, 0), at(10, 0)}, wait: at(11, 0)}},
		"the last of the missed ones is not":   {last: done(7), now: at(10, 0), noMore: true, want: decision{run: at(10, 0), skip: []time.Time{at(8, 0), at(9, 0)}}},
		"a retry is due":                       {last: waiting(2, at(9, 10)), now: at(9, 10), want: decision{run: at(9, 0)}},
		"a retry is due late":                  {last: waiting(2, at(9, 10)), now: at(9, 40), noMore: true, want: decision{run: at(9, 0)}},
		"a retry is not due":                   {last: waiting(2, at(9, 10)), now: at(9, 5), want: decision{wait: at(9, 10)}},
		"a retry of a clock that was set back": {last: waiting(2, at(23, 0)), now: at(9, 5), want: decision{run: at(9, 0)}},
		"a retry would come after the next":    {last: waiting(9, at(10, 10)), now: at(9, 50), want: decision{wait: at(10, 0)}},
		"the next comes before the retry":      {last: waiting(9, at(10, 10)), now: at(10, 0), want: decision{run: at(10, 0), late: []time.Time{}}},
		"it waited for a lease":                {last: waiting(0, time.UnixMilli(0)), now: at(9, 40), want: decision{run: at(9, 0)}},
		"it waited for a lease too long":       {last: waiting(0, time.UnixMilli(0)), now: at(9, 40), noMore: true, want: decision{skip: []time.Time{at(9, 0)}, wait: at(10, 0)}},
		"its run may have been killed":         {last: slot{at: at(9, 0), state: slotRunning}, now: at(9, 40), noMore: true, want: decision{run: at(9, 0)}},
		"somebody looks after it from now on":  {last: slot{at: at(9, 17), state: slotWatched}, now: at(9, 17), want: decision{wait: at(10, 0)}},
		"the clock was set back":               {last: done(10), now: at(8, 30), want: decision{wait: at(9, 0)}},
		"the clock was set back before a slot": {last: done(10), now: at(9, 0), want: decision{wait: at(10, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			got := hourly.decide(test.last, test.now, !test.noMore)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(decision{})); diff != "" {
				t.Errorf("decision (-want +got)\n%s", diff)
			}
		})
	}
}

func TestSlotRetry(t *testing.T) {
	var got []time.Duration
	for _, attempts := range []int{1, 2, 3, 6, 7, 8, 10_000} {
		got = append(got, slotRetry(attempts))
	}
	want := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 16 * time.Minute, 30 * time.Minute, 30 * time.Minute, 30 * time.Minute}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("waits (-want +got)\n%s", diff)
	}
}

func TestSlotsInSQLite(t *testing.T) { testSlots(t, openTestSQLite) }

func TestSlotsInPostgres(t *testing.T) {
	dsn := postgrestest.New(t)
	testSlots(t, newSchema(dsn, dsn))
}

// testSlots holds the slots of a state store to what daemons rely on.
func testSlots(t *testing.T, open func(*testing.T) *State) {
	for name, test := range map[string]func(*testing.T, *JobState){
		"a slot is claimed once":            testClaimedOnce,
		"a killed run's slot is free":       testKilledSlot,
		"a slot is tried again":             testTriedAgain,
		"missed slots are recorded":         testMissed,
		"skipped slots are recorded":        testSkipped,
		"who lost the lease settles none":   testFencedSlot,
		"a slot of a wrong clock is unseen": testFutureSlot,
		"old slots are forgotten":           testForgotten,
		"an alert has one sender":           testAlertState,
	} {
		t.Run(name, func(t *testing.T) { test(t, testJob(t, open(t), "job")) })
	}
}

func last(t *testing.T, j *JobState, now time.Time) slot {
	t.Helper()
	s, err := j.lastSlot(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func claim(t *testing.T, l *Lease, slot, now time.Time, late ...time.Time) int {
	t.Helper()
	attempts, err := l.claim(t.Context(), slot, now, late)
	if err != nil {
		t.Fatal(err)
	}
	return attempts
}

func settle(t *testing.T, l *Lease, slot time.Time, exit int, now, retry time.Time) {
	t.Helper()
	if err := l.settle(t.Context(), slot, "run", exit, now, retry); err != nil {
		t.Fatal(err)
	}
}

// states returns the slots of a job, from the first, as hour and state.
func states(t *testing.T, j *JobState) (all []string) {
	t.Helper()
	rows, err := j.db.QueryContext(t.Context(), `SELECT slot, state FROM slots WHERE job_id = $1 ORDER BY slot`, j.id)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var at int64
		var state string
		if err := rows.Scan(&at, &state); err != nil {
			t.Fatal(err)
		}
		all = append(all, time.UnixMilli(at).UTC().Format("15:04 ")+state)
	}
	return all
}

func wantStates(t *testing.T, j *JobState, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, states(t, j)); diff != "" {
		t.Errorf("slots (-want +got)\n%s", diff)
	}
}

func testClaimedOnce(t *testing.T, j *JobState) {
	if s := last(t, j, at(8, 30)); s.state != slotWatched || !s.at.Equal(at(8, 30)) {
		t.Errorf("a job that nobody looked after has %+v", s)
	}
	if s := last(t, j, at(8, 40)); !s.at.Equal(at(8, 30)) {
		t.Errorf("looked after since %v", s.at)
	}
	_, l := acquire(t, j)
	if n := claim(t, l, at(9, 0), at(9, 0)); n != 1 {
		t.Errorf("attempt %d", n)
	}
	settle(t, l, at(9, 0), ExitRefused, at(9, 5), at(9, 6))
	if n := claim(t, l, at(9, 0), at(9, 30)); n != 0 {
		t.Error("a slot that is done was claimed")
	}
	if n := claim(t, l, at(8, 0), at(9, 30)); n != 0 {
		t.Error("a slot before one that is done was claimed")
	}
	s := last(t, j, at(9, 30))
	if s.state != slotDone || s.exit != ExitRefused || s.runID != "run" || !s.endedAt.Equal(at(9, 5)) {
		t.Errorf("slot %+v", s)
	}
	wantStates(t, j, "08:30 watched", "09:00 done")
}

func testKilledSlot(t *testing.T, j *JobState) {
	_, killed := acquire(t, j)
	claim(t, killed, at(9, 0), at(9, 0))
	expire(t, killed)
	_, next := acquire(t, j)
	if n := claim(t, next, at(9, 0), at(9, 1)); n != 2 {
		t.Errorf("attempt %d", n)
	}
}

func testTriedAgain(t *testing.T, j *JobState) {
	_, l := acquire(t, j)
	claim(t, l, at(9, 0), at(9, 0))
	settle(t, l, at(9, 0), ExitInterrupted, at(9, 1), at(9, 10))
	if s := last(t, j, at(9, 1)); s.state != slotWaiting || s.attempts != 1 || !s.retryAt.Equal(at(9, 10)) {
		t.Errorf("slot %+v", s)
	}
	if n := claim(t, l, at(9, 0), at(9, 9)); n != 0 {
		t.Error("claimed too early")
	}
	if n := claim(t, l, at(9, 0), at(9, 10)); n != 2 {
		t.Errorf("attempt %d", n)
	}
	settle(t, l, at(9, 0), ExitUnexpected, at(9, 11), at(9, 40))
	if n := claim(t, l, at(10, 0), at(10, 0)); n != 1 {
		t.Errorf("attempt %d", n)
	}
	wantStates(t, j, "09:00 missed", "10:00 running")
}

func testMissed(t *testing.T, j *JobState) {
	_, l := acquire(t, j)
	if err := j.holdSlot(t.Context(), at(7, 0)); err != nil {
		t.Fatal(err)
	}
	claim(t, l, at(10, 0), at(10, 30), at(8, 0), at(9, 0))
	if err := j.holdSlot(t.Context(), at(10, 0)); err != nil {
		t.Fatal(err)
	}
	wantStates(t, j, "07:00 missed", "08:00 missed", "09:00 missed", "10:00 running")
}

func testSkipped(t *testing.T, j *JobState) {
	_, l := acquire(t, j)
	claim(t, l, at(7, 0), at(7, 0))
	if err := j.holdSlot(t.Context(), at(8, 0)); err != nil {
		t.Fatal(err)
	}
	if err := j.skipSlots(t.Context(), []time.Time{at(9, 0), at(10, 0)}); err != nil {
		t.Fatal(err)
	}
	wantStates(t, j, "07:00 running", "08:00 skipped", "09:00 skipped", "10:00 skipped")
}

func testFencedSlot(t *testing.T, j *JobState) {
	_, zombie := acquire(t, j)
	claim(t, zombie, at(9, 0), at(9, 0))
	expire(t, zombie)
	_, owner := acquire(t, j)
	settle(t, zombie, at(9, 0), ExitDone, at(9, 1), at(9, 1))
	if s := last(t, j, at(9, 1)); s.state != slotRunning {
		t.Errorf("it was settled as %s", s.state)
	}
	if _, err := zombie.claim(t.Context(), at(10, 0), at(10, 0), nil); !errors.Is(err, errFenced) {
		t.Errorf("claim without the lease: %v", err)
	}
	claim(t, owner, at(9, 0), at(9, 2))
	settle(t, owner, at(9, 0), ExitDone, at(9, 3), at(9, 3))
	wantStates(t, j, "09:00 done")
}

func testFutureSlot(t *testing.T, j *JobState) {
	_, l := acquire(t, j)
	far := at(9, 0).AddDate(9, 0, 0)
	claim(t, l, far, far)
	settle(t, l, far, ExitDone, far, far)
	if n := claim(t, l, at(9, 0), at(9, 0)); n != 1 {
		t.Error("a slot of the year 2035 keeps those of this year from being run")
	}
}

func testForgotten(t *testing.T, j *JobState) {
	_, l := acquire(t, j)
	var late []time.Time
	for i := range keptSlots + 500 {
		late = append(late, at(0, 0).Add(time.Duration(i)*time.Second))
	}
	claim(t, l, at(9, 0), at(9, 0), late...)
	claim(t, l, at(10, 0), at(10, 0))
	if n := len(states(t, j)); n != keptSlots+1 {
		t.Errorf("%d slots are kept, want %d", n, keptSlots+1)
	}
	wantLast := []string{"09:00 missed", "10:00 running"}
	if diff := cmp.Diff(wantLast, states(t, j)[keptSlots-1:]); diff != "" {
		t.Errorf("the last slots (-want +got)\n%s", diff)
	}
}

func testAlertState(t *testing.T, j *JobState) {
	ctx := context.Background()
	was, err := j.alert(ctx, AlertFailure, at(9, 0))
	if err != nil || was.firing || !was.since.Equal(at(9, 0)) {
		t.Fatalf("at first: %+v, %v", was, err)
	}
	now := alertState{true, at(10, 0)}
	for i, want := range []bool{true, false} {
		if ours, err := j.changeAlert(ctx, AlertFailure, was, now); ours != want || err != nil {
			t.Errorf("sender %d: %v, %v", i, ours, err)
		}
	}
	if got, err := j.alert(ctx, AlertFailure, at(11, 0)); err != nil || !got.firing || !got.since.Equal(at(10, 0)) {
		t.Errorf("then: %+v, %v", got, err)
	}
}
