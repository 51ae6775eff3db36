package jobs

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/chatbackfill/chatbackfill/extract"
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
var temporaryStates = []string{"08", "53", "40001", "40P01", readOnlyTransaction, "25P03", "25P04", "55P03", "57014", "57P", "58030"}

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
	if err = classify(extract.ConnectFault(err)); errors.Is(err, context.Canceled) || ExitCode(err) == ExitUsage {
		return err
	}
	return unavailable(err)
}
