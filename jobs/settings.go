package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SettingChange is a setting that differs from what the job ran with.
type SettingChange struct {
	Class    string // one of the Settings constants, but SettingsFree
	Path     string // in the job file
	Was, Now string // JSON; empty: not set
}

func (c SettingChange) String() string {
	show := func(value string) string {
		if value == "" {
			return "not set"
		}
		return value
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
	}
	return "nothing"
}

var errSettings = errors.New("the job's settings differ from those it ran with")

// checkSettings compares the settings of a job file with those the job ran
// with. A job that has not begun to deliver may have any.
func (j *JobState) checkSettings(ctx context.Context, spec *Spec, at Checkpoint) error {
	recorded, err := j.Settings(ctx)
	if err != nil || recorded == nil {
		return err
	}
	if undelivered, err := j.LedgerEmpty(ctx); err != nil || undelivered && at.Pass == 0 {
		return err
	}
	changes, err := diffSettings(recorded, spec.Settings())
	if err != nil || len(changes) == 0 {
		return err
	}
	return &Error{Exit: ExitDiffers, Err: fmt.Errorf("%w\n%s", errSettings, FormatChanges(changes)),
		Try: "chatbackfill accept " + spec.File + " to go on with them, or change the job file back"}
}

// SettingChanges returns how the settings of a job file differ from those the
// job ran with, those left out that a run may change freely.
func (j *JobState) SettingChanges(ctx context.Context, spec *Spec) ([]SettingChange, error) {
	recorded, err := j.Settings(ctx)
	if err != nil || recorded == nil {
		return nil, err
	}
	return diffSettings(recorded, spec.Settings())
}

// Settings returns the settings, by class, that the job ran with last; nil if
// it never ran.
func (j *JobState) Settings(ctx context.Context) (map[string]json.RawMessage, error) {
	var encoded string
	err := j.db.QueryRowContext(ctx, `SELECT settings FROM jobs WHERE id = $1`, j.id).Scan(&encoded)
	if err != nil {
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
	return nil
}

// diffSettings returns the settings in which two runs differ in more than what
// is free, sorted by what follows and path.
func diffSettings(was, now map[string]json.RawMessage) ([]SettingChange, error) {
	var changes []SettingChange
	for _, class := range []string{SettingsIDs, SettingsReading, SettingsContent} {
		before, err := decodeClass(was[class])
		if err != nil {
			return nil, err
		}
		after, err := decodeClass(now[class])
		if err != nil {
			return nil, err
		}
		paths := maps.Clone(before)
		maps.Copy(paths, after)
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			if x, y := string(before[path]), string(after[path]); x != y {
				changes = append(changes, SettingChange{class, path, x, y})
			}
		}
	}
	return changes, nil
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

// Accept records the settings of a job file as those the job runs with from now
// on, and lets the source be read from the start: the ledger holds back what
// was delivered.
func (l *Lease) Accept(ctx context.Context, spec *Spec) error {
	if err := l.job.setSettings(ctx, spec); err != nil {
		return err
	}
	return l.ResetPosition(ctx)
}
