package jobs

import (
	"fmt"
	"regexp"
	"time"
)

// Resolved returns the job as it will run, from a setting's path in the job file
// to its value: defaults filled in, variables resolved, secrets hidden. What is
// not set and has no default is left out.
func (s *Spec) Resolved() map[string]any {
	resolved := s.flat()
	delete(resolved, "label")
	s.spell(resolved)
	resolved["state"] = "sqlite:" + s.State.SQLite
	if s.State.SQLite == "" {
		resolved["state"] = s.State.Postgres.String()
	}
	secrets := map[string]Secret{
		"alerts.on_failure": s.Alerts.OnFailure, "alerts.on_recovery": s.Alerts.OnRecovery, "alerts.on_rejects": s.Alerts.OnRejects,
	}
	if p := s.Source.Postgres; p != nil {
		secrets["source.postgres.dsn"] = p.DSN
	}
	if d := s.Destination.Segment; d != nil {
		resolved["destination.segment.source"] = d.Source
		secrets["destination.segment.write_key"] = d.WriteKey
	} else {
		resolved["destination.file.source"] = s.Destination.File.Source
	}
	for path, secret := range secrets {
		if !secret.IsZero() {
			resolved[path] = secret.String()
		}
	}
	return resolved
}

// spell writes settings as a job file does, whose recorded form is another.
func (s *Spec) spell(settings map[string]any) {
	settings["ledger"] = "on"
	if !s.Ledger {
		settings["ledger"] = "off"
	}
	durations := map[string]time.Duration{
		"drain": s.Drain, "alerts.no_rows_for": s.Alerts.NoRowsFor,
		"conversation.wait_for_agent": s.Conversation.WaitForAgent, "conversation.end_after_idle": s.Conversation.EndAfterIdle,
	}
	if p := s.Source.Postgres; p != nil {
		durations["source.postgres.settle"], durations["source.postgres.overlap"] = p.Settle, p.Overlap
		settings["source.postgres.memory"] = p.Memory.String()
	}
	if p := s.Source.Parquet; p != nil {
		durations["source.parquet.lookback"] = p.Lookback
		settings["source.parquet.memory"] = p.Memory.String()
	}
	if d := s.Destination.Segment; d != nil {
		durations["destination.segment.retry_for"] = d.RetryFor
		if d.Rate == 0 {
			settings["destination.segment.rate"] = "unlimited"
		}
	}
	for path, d := range durations {
		settings[path] = zeroTail.ReplaceAllString(d.String(), "$1")
	}
	for _, path := range []string{"conversation.end_after_idle", "alerts.no_rows_for"} {
		if durations[path] == 0 {
			delete(settings, path) // not set
		}
	}
	if durations["source.parquet.lookback"] == 0 && s.Source.Parquet != nil {
		settings["source.parquet.lookback"] = "all"
	}
}

var zeroTail = regexp.MustCompile(`([hm])(?:0m)?0s$`)

// String is how a job file says it.
func (n Size) String() string {
	if n > 0 && n%1_000_000 == 0 {
		return fmt.Sprintf("%dMB", n/1_000_000)
	}
	return fmt.Sprintf("%dB", int64(n))
}
