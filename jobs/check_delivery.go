package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/chatbackfill/chatbackfill/load"
)

// state looks whether the state can be kept, and whether a run would be refused
// because of what is in it.
func (c *checker) state(ctx context.Context) {
	ref := c.Spec.State
	ref.Log = c.Log
	schema, err := ref.Schema(ctx)
	if err != nil {
		c.fail(err)
		return
	}
	switch {
	case schema.Version == 0:
		c.newState(ctx, ref, schema.Place)
	case schema.Version > schema.Program:
		c.fail(&Error{Exit: ExitDiffers, Err: fmt.Errorf("%s has schema %d, this program knows %d", schema.Place, schema.Version, schema.Program),
			Try: "run the version of chatbackfill that migrated it, or a later one"})
	case schema.Version < schema.Program && ref.NoMigrate:
		c.unmigrated = true
		c.fail(&Error{Exit: ExitDiffers, Err: fmt.Errorf("%s has schema %d, this program needs %d", schema.Place, schema.Version, schema.Program),
			Try: "chatbackfill state migrate " + c.Spec.File})
	case schema.Version < schema.Program:
		c.unmigrated = true
		c.ok("%s has schema %d; the next run migrates it to %d", schema.Place, schema.Version, schema.Program)
	default:
		c.knownState(ctx, ref, schema.Place)
	}
}

// newState looks whether a store can be created where there is none.
func (c *checker) newState(ctx context.Context, ref StateRef, place string) {
	if ref.SQLite != "" {
		folder := filepath.Dir(ref.SQLite)
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			c.fail(&Error{Exit: ExitUsage, Err: fmt.Errorf("the folder of %s does not exist", place), Try: "mkdir -p " + folder})
			return
		}
		if err := load.CheckPath(ref.SQLite, json.RawMessage("{}")); err != nil {
			c.fail(&Error{Exit: ExitUsage, Err: err, Try: "a path that this user can write (state: in the job file)"})
			return
		}
	} else if err := ref.canCreate(ctx); err != nil {
		c.fail(err)
		return
	}
	c.ok("%s: the first run creates it", place)
}

// knownState looks at what the store has of the job.
func (c *checker) knownState(ctx context.Context, ref StateRef, place string) {
	spec := *c.Spec
	spec.State = ref
	spec.State.NoMigrate = true
	err := WithState(ctx, &spec, func(j *JobState) error {
		at, err := j.Checkpoint(ctx, "")
		if err != nil {
			return err
		}
		c.checkpoint = &at
		var s JobStatus
		if err := j.readHolders(ctx, &s); err != nil {
			return err
		}
		changes, err := j.SettingChanges(ctx, c.Spec)
		if err == nil && len(changes) == 0 {
			err = c.checkDatabase(ctx, j, c.source)
		}
		switch {
		case err != nil:
			return err
		case len(changes) > 0:
			c.fail(&Error{Exit: ExitDiffers, Err: fmt.Errorf("the settings are not those that the job ran with:\n%s", FormatChanges(changes)),
				Try: "chatbackfill accept " + c.Spec.File})
		case len(s.Holders) > 0:
			h := s.Holders[0]
			c.warn("wait for it, as run --if-running wait does, or stop it", "the job is being run by process %d on %s", h.PID, h.Host)
		case at.Pass == 0:
			c.ok("%s is up to date; the job has not run yet", place)
		default:
			c.ok("%s is up to date; the job has run, and goes on from there", place)
		}
		return nil
	})
	if err != nil {
		c.fail(err)
	}
}

// canCreate returns why the role may not create the store's schema.
func (ref StateRef) canCreate(ctx context.Context) error {
	s, err := ref.connectExisting(ctx)
	if err != nil {
		return err
	}
	var may bool
	var user, database string
	err = s.db.QueryRowContext(ctx, `SELECT CASE WHEN to_regnamespace('`+postgresSchema+`') IS NULL
		THEN has_database_privilege(current_database(), 'CREATE')
		ELSE has_schema_privilege('`+postgresSchema+`', 'CREATE') END, current_user, current_database()`).Scan(&may, &user, &database)
	if err == nil && !may {
		err = &Error{Exit: ExitUsage, Err: fmt.Errorf("role %s may not create the schema %s in %s", user, postgresSchema, s.place),
			Try: fmt.Sprintf("as an administrator of database %s: CREATE SCHEMA %s AUTHORIZATION %q", database, postgresSchema, user)}
	}
	return errors.Join(err, s.Close())
}

// destination looks whether events could be delivered. None is.
func (c *checker) destination(ctx context.Context) {
	if f := c.Spec.Destination.File; f != nil {
		c.file(c.Spec.Path(f.Path), f.Path)
		return
	}
	endpoint, err := c.Spec.Destination.Segment.endpoint()
	if err != nil {
		c.fail(err)
		return
	}
	warning, err := load.Reach(ctx, endpoint)
	switch {
	case err != nil:
		c.fail(err)
	case warning != "":
		c.warn("set the clock (NTP)", "%s", warning)
	default:
		c.ok("%s answers; nothing was sent, so that the write key is not proven", endpoint)
	}
}

func (c *checker) file(path, shown string) {
	path = strings.ReplaceAll(path, shardPlace, "0-of-1")
	var state json.RawMessage
	switch {
	case c.unmigrated:
		state = json.RawMessage("{}") // some state or other
	case c.checkpoint != nil:
		state = c.checkpoint.Destination
	}
	if err := load.CheckPath(path, state); err != nil {
		var classed *load.Misconfigured
		if !errors.As(err, &classed) {
			err = &Error{Exit: ExitUsage, Err: err, Try: "set destination.file.path to a file in a folder that this user can write"}
		}
		c.fail(err)
		return
	}
	if _, err := os.Stat(path); err == nil && c.unmigrated {
		c.ok("%s can be written; whether it is as the job left it cannot be told before chatbackfill state migrate %s", shown, c.Spec.File)
		return
	}
	c.ok("%s can be written", shown)
}
