package extract

import (
	"crypto/x509"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ConnectionError says that a server of Postgres cannot be connected to until
// something is changed: the DSN, or the server.
type ConnectionError struct {
	Err error
	Try string // what to change
}

func (e *ConnectionError) Error() string { return e.Err.Error() }
func (e *ConnectionError) Unwrap() error { return e.Err }

// ConnectFault turns the error of a connection that was not made into a
// [ConnectionError], unless trying again may succeed.
func ConnectFault(err error) error {
	var answer *pgconn.PgError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var known *ConnectionError
	try := ""
	switch {
	case err == nil || transient(err) || errors.As(err, &known):
		return err
	case errors.As(err, &answer) && answer.Code == "3D000":
		try = "create the database, or name another in the DSN"
	case errors.As(err, &answer):
		try = "name a user that may connect, and its password, in the DSN"
	case errors.As(err, &host):
		try = "name the server in the DSN as its certificate does"
	case errors.As(err, &authority):
		try = "add sslrootcert=FILE to the DSN, with the authority that signed the server's certificate"
	case strings.Contains(err.Error(), "tls"):
		try = "let the server use TLS with a certificate that is good, or spell out another sslmode in the DSN"
	default:
		return err
	}
	return &ConnectionError{Err: err, Try: try}
}
