package jobs

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// SettingChange is a setting that differs from what the job ran with.
type SettingChange struct {
	Class string `json:"class"` // one of the Settings constants, but SettingsFree
	Path  string `json:"path"`  // in the job file
	Was   string `json:"was"`   // JSON; empty: not set
	Now   string `json:"now"`
}

func (c SettingChange) String() string {
	show := func(value string) string {
		if value == "" {
			return "not set"
		}
		// In recorded settings these are escaped, for HTML.
		return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(value)
	}
	return fmt.Sprintf("  %s: %s was %s, is %s", c.Class, c.Path, show(c.Was), show(c.Now))
}

// FormatChanges returns the changes, one a line.
func FormatChanges(changes []SettingChange) string {
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = c.String()
	}
	return strings.Join(lines, "\n")
}

// Consequence says what follows when a setting of a class changes.
func Consequence(class string) string {
	switch class {
	case SettingsIDs:
		return "the ids of events change: what the ledger does not recognise is sent again under a new id, and Segment keeps both"
	case SettingsReading, SettingsContent:
		return "the source is read again from the start; what was delivered is not sent again"
	case SettingsKey:
		return "further events go wherever the new key leads; what was delivered is not sent again, also if that is another Segment source. " +
			"A source of its own wants a label of its own (destination.segment.source): then everything is sent to it"
	}
	return "nothing"
}

var errSettings = errors.New("the job's settings differ from those it ran with")

// checkSettings compares the settings of a job file with those the job ran
// with. A job that has not begun to deliver may have any.
func (j *JobState) checkSettings(ctx context.Context, spec *Spec, at Checkpoint) error {
	changes, err := j.keyChange(ctx, spec)
	if err != nil {
		return err
	}
	undelivered, err := j.LedgerEmpty(ctx)
	if err != nil {
		return err
	}
	if !undelivered || at.Pass > 0 {
		if changes, err = j.SettingChanges(ctx, spec); err != nil {
			return err
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return &Error{Exit: ExitDiffers, Err: fmt.Errorf("%w\n%s", errSettings, FormatChanges(changes)),
		Try: "chatbackfill accept " + spec.File + " to go on with them, or change the job file back"}
}

// SettingChanges returns how the settings of a job file, and its write key,
// differ from those the job ran with; those are left out that a run may change
// freely.
func (j *JobState) SettingChanges(ctx context.Context, spec *Spec) ([]SettingChange, error) {
	changes, err := j.keyChange(ctx, spec)
	if err != nil {
		return nil, err
	}
	recorded, err := j.Settings(ctx)
	if err != nil || recorded == nil {
		return changes, err
	}
	settings, err := diffSettings(recorded, spec.Settings())
	return append(settings, changes...), err
}

// Settings returns the settings, by class, that the job ran with last; nil if
// it never ran.
func (j *JobState) Settings(ctx context.Context) (map[string]json.RawMessage, error) {
	var encoded string
	err := j.db.QueryRowContext(ctx, `SELECT settings FROM jobs WHERE id = $1`, j.id).Scan(&encoded)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read settings of job %s: %w", j.Name, err)
	}
	if encoded == "" {
		return nil, nil
	}
	var settings map[string]json.RawMessage
	if err := json.Unmarshal([]byte(encoded), &settings); err != nil {
		return nil, fmt.Errorf("read settings of job %s: %w", j.Name, err)
	}
	return settings, nil
}

func (j *JobState) setSettings(ctx context.Context, spec *Spec) error {
	encoded, err := json.Marshal(spec.Settings())
	if err != nil {
		return fmt.Errorf("record settings of job %s: %w", j.Name, err)
	}
	_, err = j.db.ExecContext(ctx, `UPDATE jobs SET settings = $2 WHERE id = $1`, j.id, string(encoded))
	if err != nil {
		return fmt.Errorf("record settings of job %s: %w", j.Name, err)
	}
	return j.setKey(ctx, spec)
}

// diffSettings returns the settings in which two runs differ in more than what
// is free, sorted by what follows and path. A set that one of the two does not
// have is a matter of what is read, whatever is mapped in it.
func diffSettings(was, now map[string]json.RawMessage) ([]SettingChange, error) {
	before, err := decodeClasses(was)
	if err != nil {
		return nil, err
	}
	after, err := decodeClasses(now)
	if err != nil {
		return nil, err
	}
	setsBefore, setsAfter := setsOf(before), setsOf(after)
	var changes []SettingChange
	for _, class := range []string{SettingsIDs, SettingsReading, SettingsContent} {
		paths := maps.Clone(before[class])
		maps.Copy(paths, after[class])
		for path := range paths {
			x, y := string(before[class][path]), string(after[class][path])
			if x == y {
				continue
			}
			c := SettingChange{Class: class, Path: path, Was: x, Now: y}
			if set := setOf(path); setsBefore[set] != setsAfter[set] {
				c.Class = SettingsReading
			}
			changes = append(changes, c)
		}
	}
	order := []string{SettingsIDs, SettingsReading, SettingsContent}
	slices.SortFunc(changes, func(x, y SettingChange) int {
		return cmp.Or(slices.Index(order, x.Class)-slices.Index(order, y.Class), strings.Compare(x.Path, y.Path))
	})
	return changes, nil
}

var setPath = regexp.MustCompile(`^source\.\w+\.messages\[.*?\]`)

// setOf returns the set of messages that a setting belongs to; empty: none.
func setOf(path string) string { return setPath.FindString(path) }

func setsOf(classes map[string]map[string]json.RawMessage) map[string]bool {
	sets := make(map[string]bool)
	for _, settings := range classes {
		for path := range settings {
			sets[setOf(path)] = true
		}
	}
	return sets
}

func decodeClasses(encoded map[string]json.RawMessage) (map[string]map[string]json.RawMessage, error) {
	classes := make(map[string]map[string]json.RawMessage)
	for _, class := range []string{SettingsFree, SettingsIDs, SettingsReading, SettingsContent} {
		settings, err := decodeClass(encoded[class])
		if err != nil {
			return nil, err
		}
		classes[class] = settings
	}
	return classes, nil
}

func decodeClass(encoded json.RawMessage) (map[string]json.RawMessage, error) {
	settings := make(map[string]json.RawMessage)
	if len(encoded) == 0 {
		return settings, nil
	}
	if err := json.Unmarshal(encoded, &settings); err != nil {
		return nil, fmt.Errorf("read recorded settings: %w", err)
	}
	return settings, nil
}

// Accept records the settings of a job file, and its write key, as those the job
// runs with from now on. If more than the key has changed the source is read
// from the start: the ledger holds back what was delivered.
func (l *Lease) Accept(ctx context.Context, spec *Spec) error {
	changes, err := l.job.SettingChanges(ctx, spec)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(changes, func(c SettingChange) bool { return c.Class != SettingsKey }) {
		if err := l.ResetPosition(ctx); err != nil {
			return err
		}
	}
	return l.job.setSettings(ctx, spec) // last: until then they are not accepted
}
