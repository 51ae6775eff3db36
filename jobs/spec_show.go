package jobs

// Resolved returns the job as it will run, from a setting's path in the job file
// to its value: defaults filled in, variables resolved, secrets hidden. What is
// not set and has no default is left out.
func (s *Spec) Resolved() map[string]any {
	resolved := s.flat()
	delete(resolved, "label")
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
