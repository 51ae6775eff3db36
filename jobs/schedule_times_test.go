package jobs

import (
	"archive/zip"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func timesOf(t testing.TB, expression, zone string) *timetable {
	t.Helper()
	s, err := newTimetable(expression, zone)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// zones are the names of all time zones.
func zones(t testing.TB) []string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("find Go: %v", err)
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	var names []string
	for _, f := range archive.File {
		if !strings.HasSuffix(f.Name, "/") && f.Name != "Factory" {
			names = append(names, f.Name)
		}
	}
	if len(names) < 400 {
		t.Fatalf("%d zones are too few", len(names))
	}
	return names
}

func zoneOf(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// changes are when the clock of a zone is changed within some years.
func changes(zone *time.Location, from, to time.Time) []time.Time {
	var all []time.Time
	for at := from; ; {
		_, end := offsetAt(at, zone)
		if end.IsZero() || !end.Before(to) {
			return all
		}
		all = append(all, end)
		at = end
	}
}

// schedules are expressions, each with whether it has slots at a time that a
// clock shows, in other words.
var schedules = map[string]func(w time.Time) bool{
	"30 2 * * *":       func(w time.Time) bool { return w.Hour() == 2 && w.Minute() == 30 },
	"0 0 * * *":        func(w time.Time) bool { return w.Hour() == 0 && w.Minute() == 0 },
	"59 23 * * *":      func(w time.Time) bool { return w.Hour() == 23 && w.Minute() == 59 },
	"*/20 1-3 * * *":   func(w time.Time) bool { return w.Hour() >= 1 && w.Hour() <= 3 && w.Minute()%20 == 0 },
	"0 */2 * * *":      func(w time.Time) bool { return w.Hour()%2 == 0 && w.Minute() == 0 },
	"15 0 * * sun":     func(w time.Time) bool { return w.Weekday() == time.Sunday && w.Hour() == 0 && w.Minute() == 15 },
	"15 * * * *":       func(w time.Time) bool { return w.Minute() == 15 },
	"*/5 * * * *":      func(w time.Time) bool { return w.Minute()%5 == 0 },
	"0,30 0-23 * * *":  func(w time.Time) bool { return w.Minute()%30 == 0 },
	"10 * * * mon-fri": func(w time.Time) bool { return w.Minute() == 10 && w.Weekday()%6 != 0 },
}

// elapsedOnes are those that go on through an hour that is shown twice.
var elapsedOnes = []string{"15 * * * *", "*/5 * * * *", "0,30 0-23 * * *", "10 * * * mon-fri"}

// shownTimes are the times that a clock in a zone shows from minute to minute.
func shownTimes(zone *time.Location, from, to time.Time) (shown []time.Time) {
	for t := from; !t.After(to); t = t.Add(time.Minute) {
		l := t.In(zone)
		shown = append(shown, time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC))
	}
	return shown
}

// naiveSlots looks at the clock every minute. The first time that it shows is
// before any slot.
func naiveSlots(match func(time.Time) bool, elapsed bool, from time.Time, shown []time.Time) (slots []time.Time) {
	latest := shown[0]
	for i, now := range shown[1:] {
		hit := elapsed && match(now)
		for w := latest.Add(time.Minute); !elapsed && !w.After(now); w = w.Add(time.Minute) {
			hit = hit || match(w)
		}
		if now.After(latest) {
			latest = now
		}
		if hit {
			slots = append(slots, from.Add(time.Duration(i+1)*time.Minute).UTC())
		}
	}
	return slots
}

// checkChange compares the slots around a change of the clock with what looking
// at the clock every minute gives.
func checkChange(t *testing.T, name string, change time.Time) {
	t.Helper()
	zone := zoneOf(t, name)
	from, to := change.Add(-14*time.Hour).Truncate(time.Minute), change.Add(14*time.Hour).Truncate(time.Minute)
	shown := shownTimes(zone, from, to)
	for expression, match := range schedules {
		s := timesOf(t, expression, name)
		if want := slices.Contains(elapsedOnes, expression); s.elapsed != want {
			t.Fatalf("%s is about elapsed time: %v", expression, s.elapsed)
		}
		got, want := s.due(from, to), naiveSlots(match, s.elapsed, from, shown)
		if !slices.Equal(want, got) {
			t.Fatalf("%s in %s around %s (-want +got)\n%s", expression, name, change.In(zone), cmp.Diff(want, got))
		}
		for at := from; at.Before(to); at = at.Add(7 * time.Minute) {
			after := slices.IndexFunc(want, func(slot time.Time) bool { return slot.After(at) })
			if after >= 0 && !s.next(at).Equal(want[after]) {
				t.Fatalf("%s in %s: after %s comes %s, want %s", expression, name, at.In(zone), s.next(at).In(zone), want[after].In(zone))
			}
		}
	}
}

// TestSlotsAroundEveryClockChange looks at all changes of the clock in all zones
// within two years.
func TestSlotsAroundEveryClockChange(t *testing.T) {
	t.Parallel()
	from, to := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	seen := make(map[string]bool)
	for _, name := range zones(t) {
		zone := zoneOf(t, name)
		for _, change := range changes(zone, from, to) {
			before, _ := offsetAt(change.Add(-time.Second), zone)
			after, _ := offsetAt(change, zone)
			if same := fmt.Sprint(wallClock(change, before).Format("2006 Mon 15:04 "), after-before); seen[same] {
				continue
			} else {
				seen[same] = true
			}
			checkChange(t, name, change)
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d changes were looked at", len(seen))
	}
}

// TestSlotsAroundOddClockChanges looks at changes by half an hour, by two hours,
// by a day, and at midnight.
func TestSlotsAroundOddClockChanges(t *testing.T) {
	t.Parallel()
	for name, year := range map[string]int{
		"Australia/Lord_Howe": 2024, "Asia/Pyongyang": 2015, "America/Caracas": 2016, "Antarctica/Troll": 2024,
		"Pacific/Apia": 2011, "Pacific/Kwajalein": 1993, "America/Sao_Paulo": 2018, "America/Havana": 2024, "Africa/Cairo": 2024,
		"Africa/Casablanca": 2024, "Asia/Kathmandu": 1985, "Europe/Volgograd": 2020, "Asia/Gaza": 2024,
	} {
		all := changes(zoneOf(t, name), time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(year+1, 1, 1, 0, 0, 0, 0, time.UTC))
		if len(all) == 0 {
			t.Errorf("%s has no changes in %d", name, year)
		}
		for _, change := range all {
			checkChange(t, name, change)
		}
	}
}

// TestDailySlotsOfTwoYears counts: a day has one slot, whatever happens to the
// clock.
func TestDailySlotsOfTwoYears(t *testing.T) {
	t.Parallel()
	from, to := time.Date(2027, 12, 31, 12, 0, 0, 0, time.UTC), time.Date(2029, 12, 31, 12, 0, 0, 0, time.UTC)
	seen := make(map[string]bool)
	for _, name := range zones(t) {
		zone := zoneOf(t, name)
		if same := fmt.Sprint(changes(zone, from, to)); seen[same] {
			continue
		} else {
			seen[same] = true
		}
		for _, expression := range []string{"30 2 * * *", "0 0 * * *"} {
			if n := len(timesOf(t, expression, name).due(firstShown(from, zone), firstShown(to, zone))); n != 731 {
				t.Errorf("%s in %s: %d slots, want 731", expression, name, n)
			}
		}
	}
}

// TestSlotsDoNotDependOnWhenOneLooks: however often a daemon looks, it finds
// each slot once.
func TestSlotsDoNotDependOnWhenOneLooks(t *testing.T) {
	t.Parallel()
	names := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "zone")
		expression := rapid.SampledFrom([]string{"30 2 * * *", "*/7 * * * *", "0 0,1 * * *", "15 3-5 1,15 * *"}).Draw(t, "schedule")
		s, err := newTimetable(expression, name)
		if err != nil {
			t.Fatal(err)
		}
		from := time.Date(1990+rapid.IntRange(0, 45).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")), 1, 0, 0, 0, 0, time.UTC)
		at, to := from, from.Add(5*24*time.Hour)
		var got []time.Time
		for at.Before(to) {
			next := at.Add(time.Duration(rapid.Int64Range(1, int64(30*time.Hour)).Draw(t, "until the next look")))
			if next.After(to) {
				next = to
			}
			got = append(got, s.due(at, next)...)
			at = next
		}
		if want := s.due(from, to); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		if !slices.IsSortedFunc(got, time.Time.Compare) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatalf("not in order, or twice: %v", got)
		}
	})
}

func TestSlots(t *testing.T) {
	for name, test := range map[string]struct {
		schedule, zone, from, to string
		want                     []string
	}{
		"a time that is skipped": {"30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z",
			[]string{"2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"}},
		"a time that is shown twice": {"30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z",
			[]string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
		"every hour while one is shown twice": {"30 * * * *", "America/New_York", "2026-11-01T04:00:00Z", "2026-11-01T08:00:00Z",
			[]string{"2026-11-01T04:30:00Z", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z"}},
		"a midnight that does not exist": {"0 0 * * *", "Africa/Cairo", "2026-04-23T00:00:00Z", "2026-04-25T00:00:00Z",
			[]string{"2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"}},
		"a day that does not exist": {"0 5 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z",
			[]string{"2011-12-29T15:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T15:00:00Z", "2011-12-31T15:00:00Z"}},
		"leap days": {"0 0 29 2 *", "Etc/UTC", "2023-01-01T00:00:00Z", "2033-01-01T00:00:00Z",
			[]string{"2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		"just after a slot": {"0 0 * * *", "Etc/UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", []string{"2026-01-02T00:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, at := range timesOf(t, test.schedule, test.zone).due(timeOf(t, test.from), timeOf(t, test.to)) {
				got = append(got, at.Format(time.RFC3339))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("slots (-want +got)\n%s", diff)
			}
		})
	}
}

func timeOf(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestTimetableErrNeverComes(t *testing.T) {
	for _, expression := range []string{"0 0 30 2 *", "0 0 31 4,6,9,11 *", "@every 1h", "TZ=UTC 0 0 * * *", "60 * * * *", ""} {
		if _, err := newTimetable(expression, "Etc/UTC"); err == nil {
			t.Errorf("schedule %q is taken", expression)
		}
	}
}

// FuzzSchedule: whatever the expression and zone, there is an error, or slots
// that come one after the other and are the same wherever one looks from.
func FuzzSchedule(f *testing.F) {
	for _, expression := range []string{"15 * * * *", "30 2 * * *", "@daily", "0 0 29 2 *", "TZ=UTC", "*/7 1-5/2 ? jan-mar mon,fri", "0 0 30 2 *", "@every 5m", "60 * * * *", ""} {
		f.Add(expression, "Europe/Berlin", int64(1_743_296_400))
	}
	f.Add("0 0 * * *", "America/Sao_Paulo", int64(1_541_300_000))
	f.Add("* * * * *", "Australia/Lord_Howe", int64(1_728_140_000))
	f.Fuzz(func(t *testing.T, expression, zone string, from int64) {
		if from < 0 || from > 4e9 {
			return
		}
		s, err := newTimetable(expression, zone)
		if err != nil {
			return
		}
		last := time.Unix(from, 0)
		for _, slot := range s.upcoming(last, 5) {
			if !slot.After(last) {
				t.Fatalf("%q in %s: %s comes after %s", expression, zone, slot, last)
			}
			if again := s.next(slot.Add(-time.Second)); !again.Equal(slot) {
				t.Fatalf("%q in %s: a second before %s the next slot is %s", expression, zone, slot, again)
			}
			last = slot
		}
	})
}
