package jobs

import (
	"log/slog"
	"path/filepath"
	"strings"
)

// StateRef says where a job's state is kept: one of the two is set.
type StateRef struct {
	SQLite   string // absolute path of a database file
	Postgres Secret // DSN

	NoMigrate bool         // refuse a store whose schema is older than the program's
	Log       *slog.Logger // warned of a connection that is not safe; may be nil
}

// ParseState reads where a store is: sqlite:PATH, relative to a folder, or the DSN
// of a Postgres database. It reports whether the text is either.
func ParseState(text, dir string) (ref StateRef, ok bool) {
	file, sqlite := strings.CutPrefix(text, "sqlite:")
	switch {
	case strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://"):
		ref.Postgres = NewSecret(text)
		return ref, true
	case sqlite && file != "" && !strings.HasSuffix(file, "/"):
		ref.SQLite = file
		if !filepath.IsAbs(file) {
			ref.SQLite = filepath.Join(dir, file)
		}
		return ref, true
	}
	return ref, false
}

// state sets ref from what the job file says.
func (d *specDecoder) state(ref *StateRef, text, path string) bool {
	var ok bool
	if *ref, ok = ParseState(text, d.dir); ok {
		return true
	}
	d.reject(path, "sqlite:PATH for a file, or postgres://user@host/database", "state is neither sqlite:PATH nor postgres://…")
	return false
}

// state sets the default. In Kubernetes there is none: a file in the container
// would be gone with it, and with it the record of what was delivered.
func (c *specCheck) state() {
	if c.has("state") || c.spec.Name == "" {
		return
	}
	if _, kubernetes := c.lookupEnv("KUBERNETES_SERVICE_HOST"); kubernetes {
		c.add(1, 1, "state: postgres://…, or sqlite:PATH on a persistent volume", "state must be spelled out when running in Kubernetes")
		return
	}
	c.spec.State.SQLite = filepath.Join(c.dir, c.spec.Name+".state.db")
}
