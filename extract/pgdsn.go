package extract

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// applicationName is how our connections are known in pg_stat_activity. Those
// of other runs do not hold the upper bound back either.
const applicationName = "chatbackfill"

const connectTimeout = 15 * time.Second

// ParsePostgres returns how to connect to the server that a DSN names, in the
// form of a URL or of keywords. Servers off this machine have to prove who they
// are, unless the DSN spells out another sslmode, which is warned of. What is
// connected to is called what in errors, which are [ConnectionError]s and
// repeat nothing of the DSN: a password may stand anywhere in one that is wrong.
func ParsePostgres(dsn, what string, log *slog.Logger) (*pgx.ConnConfig, error) {
	dsn, password, ok := takePassword(dsn)
	if !ok {
		return nil, dsnFault(what, nil)
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, dsnFault(what, err)
	}
	mode := sslModeKey.FindStringSubmatch(dsn)
	switch remote := remoteHosts(config); {
	case len(remote) == 0:
	case mode == nil:
		if config, err = pgx.ParseConfig(withVerifyFull(dsn)); err != nil {
			return nil, dsnFault(what, err)
		}
	case mode[1] != "verify-full":
		log.Warn("the connection to "+what+" is not safe from others who pose as the server: use sslmode=verify-full",
			"sslmode", mode[1], "host", strings.Join(remote, ","))
	}
	if password != nil {
		config.Password = *password
	}
	configure(config)
	return config, nil
}

// sslModeKey finds whether a DSN, of either form, says how to use TLS.
var sslModeKey = regexp.MustCompile(`(?:^|[\s?&])(?:sslmode|ssl)\s*=\s*'?([\w-]*)`)

func isURL(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// takePassword takes the password out of a URL, so that nothing can print it;
// false if it is no URL that can be trusted: a password that is not
// percent-encoded shifts the parts that follow it.
func takePassword(dsn string) (without string, password *string, ok bool) {
	if !isURL(dsn) {
		return dsn, nil, !strings.Contains(dsn, "://")
	}
	u, err := url.Parse(dsn)
	if err != nil || u.Fragment != "" || strings.Contains(u.EscapedPath()+u.RawQuery, "@") {
		return "", nil, false
	}
	if text, given := u.User.Password(); given {
		u.User, password = url.User(u.User.Username()), &text
	}
	query := u.Query()
	if query.Has("password") {
		text := query.Get("password")
		query.Del("password")
		u.RawQuery, password = query.Encode(), &text
	}
	return u.String(), password, true
}

func withVerifyFull(dsn string) string {
	const mode = "sslmode=verify-full"
	switch {
	case !isURL(dsn):
		return dsn + " " + mode
	case strings.Contains(dsn, "?"):
		return dsn + "&" + mode
	}
	return dsn + "?" + mode
}

// dsnFault says what is wrong with a DSN.
func dsnFault(what string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return &ConnectionError{Err: fmt.Errorf("parse the DSN of %s: %w", what, path), Try: "name a file that this user can read"}
	}
	return &ConnectionError{
		Err: fmt.Errorf("parse the DSN of %s: it is no DSN of Postgres", what),
		Try: "postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=MODE, with everything special in it percent-encoded",
	}
}

// remoteHosts are the servers of a configuration that are not on this machine.
func remoteHosts(config *pgx.ConnConfig) (remote []string) {
	hosts := []string{config.Host}
	for _, f := range config.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		ip, err := netip.ParseAddr(host)
		local := strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || err == nil && ip.IsLoopback()
		if !local {
			remote = append(remote, host)
		}
	}
	return remote
}

func configure(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	// No statement is kept in a session, which a pooler may give to others.
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	config.RuntimeParams["application_name"] = applicationName
	// A server that is gone without a word is noticed within a minute.
	dialer := &net.Dialer{
		Timeout:         config.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3},
	}
	config.DialFunc = dialer.DialContext
}
