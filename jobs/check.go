package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
)

// The statuses of a finding.
const (
	CheckOK      = "ok"
	CheckWarning = "warning" // a run works, but not as well as it could
	CheckFailed  = "failed"  // a run would not work
)

// CheckFinding is what one check found.
type CheckFinding struct {
	Check  string               `json:"check"`
	Status string               `json:"status"`
	Text   string               `json:"text"`
	Try    string               `json:"try,omitempty"`
	Exit   int                  `json:"exit_code,omitempty"` // with which a run would end, if it failed
	Values []extract.ValueCount `json:"values,omitempty"`    // of role or kind
}

// Check looks at everything that a run of the job needs, short of sending, and
// tells found what it finds, in order. What one check finds wrong keeps no other
// from being made, as far as that is possible. Nothing is written.
func Check(ctx context.Context, e Execution, found func(CheckFinding)) {
	c := &checker{Execution: e, found: found, now: time.Now()}
	c.Log = slog.New(checkLog{c})
	c.AllowSlow = true // what is slow is found, not refused
	defer func() {
		if c.source != nil {
			c.source.Close()
		}
	}()
	for _, check := range checks {
		if check.source && c.source == nil || ctx.Err() != nil {
			continue
		}
		c.name = check.name
		check.run(c, ctx)
	}
}

// checks are all checks, in the order in which a person reads them.
var checks = []struct {
	name   string
	source bool // it needs the source
	run    func(c *checker, ctx context.Context)
}{
	{"job file", false, (*checker).jobFile},
	{"source", false, (*checker).open},
	{"rights", true, (*checker).rights},
	{"bound", true, (*checker).bound},
	{"indexes", true, (*checker).indexes},
	{"times", true, (*checker).times},
	{"values", true, (*checker).values},
	{"agents", true, (*checker).agents},
	{"sample", true, (*checker).sampled},
	{"identity", true, (*checker).identity},
	{"texts", true, (*checker).texts},
	{"old events", true, (*checker).oldEvents},
	{"state", false, (*checker).state},
	{"destination", false, (*checker).destination},
	{"schedule", false, (*checker).schedule},
}

// checker makes the checks of a job.
type checker struct {
	Execution
	found      func(CheckFinding)
	now        time.Time
	name       string // of the check that is being made
	source     Source // nil: it cannot be opened
	sample     *checkSample
	checkpoint *Checkpoint // nil: the store has none
	unmigrated bool        // what the store has cannot be read yet
}

func (c *checker) ok(format string, args ...any) {
	c.found(CheckFinding{Check: c.name, Status: CheckOK, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) warn(try, format string, args ...any) {
	c.found(CheckFinding{Check: c.name, Status: CheckWarning, Text: fmt.Sprintf(format, args...), Try: try})
}

// fail tells of an error with which a run would end; of several that are joined
// of each.
func (c *checker) fail(err error) {
	err = classify(err)
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			c.fail(one)
		}
		return
	}
	f := CheckFinding{Check: c.name, Status: CheckFailed, Text: err.Error(), Exit: ExitCode(err)}
	var classed *Error
	if errors.As(err, &classed) {
		f.Try = classed.Try
	}
	c.found(f)
}

// checkLog makes findings of the warnings that are logged while a check is made.
type checkLog struct{ *checker }

func (checkLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (l checkLog) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(", %s %v", a.Key, a.Value)
		return true
	})
	l.warn("", "%s", text)
	return nil
}

func (l checkLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l checkLog) WithGroup(string) slog.Handler      { return l }

func (c *checker) jobFile(context.Context) {
	s := c.Spec
	from, to := "Parquet files", "a file"
	if s.Source.Postgres != nil {
		from = "Postgres"
	}
	if d := s.Destination.Segment; d != nil {
		to = "Segment source " + d.Source
	}
	if _, err := loadSuppressed(s); err != nil {
		c.fail(err)
	}
	c.ok("%s: from %s into %s", s.Name, from, to)
}

func (c *checker) schedule(context.Context) {
	if c.Spec.Schedule == "" {
		return
	}
	times, err := newTimetable(c.Spec.Schedule, c.Spec.Timezone)
	if err != nil {
		c.fail(err)
		return
	}
	text := ""
	for i, at := range times.upcoming(c.now, 5) {
		if i > 0 {
			text += ", "
		}
		text += at.In(times.zone).Format("Mon 2 Jan 15:04")
	}
	c.ok("the next five times (%s): %s", c.Spec.Timezone, text)
}
