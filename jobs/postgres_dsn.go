package jobs

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chatbackfill/chatbackfill/extract"
)

// parsePostgres returns how to connect to the store that a DSN names. No error
// repeats any of it: a password may stand anywhere in a DSN that is wrong.
func parsePostgres(dsn string, log *slog.Logger) (*pgx.ConnConfig, error) {
	u, err := url.Parse(dsn)
	// A password that is not percent-encoded shifts the parts that follow it.
	if err != nil || u.Fragment != "" || strings.Contains(u.EscapedPath()+u.RawQuery, "@") {
		return nil, errDSN
	}
	query := u.Query()
	password, given := takePassword(u, query)
	config, err := configOf(u, query)
	if err != nil {
		return nil, err
	}
	if remote := extract.RemoteHosts(config); len(remote) > 0 {
		mode := sslMode(query)
		if mode == "" {
			query.Set("sslmode", "verify-full")
			if config, err = configOf(u, query); err != nil {
				return nil, err
			}
		} else if mode != "verify-full" {
			log.Warn("the connection to the state store is not safe from others who pose as the server: use sslmode=verify-full",
				"sslmode", mode, "host", strings.Join(remote, ","))
		}
	}
	if given {
		config.Password = password
	}
	configure(config)
	return config, nil
}

var errDSN = &Error{Exit: ExitUsage, Err: errors.New("state: it is no DSN of Postgres"),
	Try: "postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=MODE, with everything special in it percent-encoded"}

// takePassword takes the password out of a DSN, so that nothing can print it.
func takePassword(u *url.URL, query url.Values) (password string, given bool) {
	if password, given = u.User.Password(); given {
		u.User = url.User(u.User.Username())
	}
	if query.Has("password") {
		password, given = query.Get("password"), true
		query.Del("password")
	}
	return password, given
}

func configOf(u *url.URL, query url.Values) (*pgx.ConnConfig, error) {
	u.RawQuery = query.Encode()
	config, err := pgx.ParseConfig(u.String())
	var file *fs.PathError
	switch {
	case errors.As(err, &file):
		return nil, &Error{Exit: ExitUsage, Err: fmt.Errorf("state: %w", file), Try: "the path of a file that this user can read"}
	case err != nil:
		return nil, errDSN
	}
	return config, nil
}

// sslMode returns the mode that was spelled out, or "".
func sslMode(query url.Values) string {
	switch {
	case query.Get("sslmode") != "":
		return query.Get("sslmode")
	case query.Get("ssl") != "":
		return "require"
	}
	return os.Getenv("PGSSLMODE")
}

func configure(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	// Neither needs a statement to be kept in a session.
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	config.RuntimeParams["application_name"] = "chatbackfill"
	dialer := &net.Dialer{
		Timeout:         config.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3},
	}
	config.DialFunc = dialer.DialContext
}
