package jobs

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// The SQLSTATEs that matter here by name.
const (
	readOnlyTransaction = "25006"
	unknownDatabase     = "3D000"
	notAllowed          = "42501"
	duplicateSchema     = "42P06"
	uniqueViolation     = "23505"
)

// temporaryStates are the SQLSTATEs, or the classes of them, of what passes
// without anybody changing the job: the connection, resources and disk space,
// deadlocks, a standby, timeouts, a server that stops or starts.
var temporaryStates = []string{"08", "53", "40001", "40P01", readOnlyTransaction, "25P03", "55P03", "57014", "57P", "58030"}

func temporaryState(code string) bool {
	for _, prefix := range temporaryStates {
		if strings.HasPrefix(code, prefix) {
			return true
		}
	}
	return false
}

// judge gives an error of a statement its exit code, if it passes by itself.
func (c *stateConn) judge(err error) error {
	var answer *pgconn.PgError
	switch {
	case err == nil, err == io.EOF, err == driver.ErrBadConn, errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &answer):
		c.stale = c.stale || answer.Code == readOnlyTransaction
		if temporaryState(answer.Code) {
			return unavailable(err)
		}
	case c.Conn.Conn().IsClosed():
		return unavailable(err)
	}
	return err
}

// connectError says what to do about a connection that cannot be made.
func connectError(err error) error {
	var answer *pgconn.PgError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &answer):
		return refusedConnection(err, answer.Code)
	case errors.As(err, &certificate), !isNetwork(err):
		return &Error{Exit: ExitUsage, Err: err,
			Try: "sslrootcert=FILE with the authority that signed the server's certificate, or spell out another sslmode (state: in the job file)"}
	}
	return unavailable(err)
}

func refusedConnection(err error, code string) error {
	switch {
	case temporaryState(code):
		return unavailable(err)
	case code == unknownDatabase:
		return &Error{Exit: ExitUsage, Err: err, Try: "create the database, or name another (state: in the job file)"}
	}
	return &Error{Exit: ExitUsage, Err: err, Try: "a user that may connect, and its password (state: in the job file)"}
}

// isNetwork reports whether err comes of the way to the server, not of what it
// or we said.
func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}
