package extract

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// SourceUnavailable says that the source's database or bucket cannot be used for
// now: running again later may succeed.
type SourceUnavailable struct {
	From string // the file in a bucket; empty: Postgres
	Err  error
}

func (e *SourceUnavailable) Error() string {
	if e.From != "" {
		return fmt.Sprintf("read %s: %v", e.From, e.Err)
	}
	return fmt.Sprintf("read from Postgres: %v", e.Err)
}
func (e *SourceUnavailable) Unwrap() error { return e.Err }

// SchemaChanged says that a set's table, or what its query yields, became
// another one while it was read: the run has to start over.
type SchemaChanged struct {
	Set string
	Err error
}

func (e *SchemaChanged) Error() string {
	return fmt.Sprintf("%s: its table or query changed while it was read: %v", e.Set, e.Err)
}
func (e *SchemaChanged) Unwrap() error { return e.Err }

// transientClasses and transientCodes are SQLSTATEs of what may go well when it
// is done again.
var (
	transientClasses = []string{"08", "53"} // connection, resources
	transientCodes   = []string{
		"57P01", "57P02", "57P03", "57P05", "25P03", // shut down, crashed, starting, idle too long
		"57014", "25P04", "55P03", // statement, transaction and lock timeout
		"40001", "40P01",
	}
)

// transient reports whether doing the same again may succeed.
func transient(err error) bool {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return slices.Contains(transientCodes, pgErr.Code) || slices.Contains(transientClasses, pgErr.Code[:min(2, len(pgErr.Code))])
	}
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	if errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &host) {
		return false
	}
	var network net.Error
	return errors.Is(err, errRewritten) || errors.As(err, &network) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed)
}

// isTimeout reports whether a statement or its transaction took too long, also
// for a standby that has to go on replaying, or was cancelled.
func isTimeout(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && slices.Contains([]string{"57014", "25P04", "40001"}, pgErr.Code)
}

// isSchema reports whether a statement that was good is so no longer.
func isSchema(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && slices.Contains([]string{"42703", "42P01", "42804", "42883", "42704", "42702", "3F000", "0A000"}, pgErr.Code)
}

// contentFree are the classes of errors that tell of statements, objects and
// the server, and never repeat what stands in a row.
var contentFree = []string{"08", "0A", "25", "26", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"}

func isContentFree(code string) bool {
	return slices.ContainsFunc(contentFree, func(class string) bool { return strings.HasPrefix(code, class) })
}

// fault makes an error of the database fit for logs: without contents of rows.
// One that may go away is a [SourceUnavailable].
func (p *Postgres) fault(err error) error {
	var pgErr *pgconn.PgError
	var unavailable *SourceUnavailable
	switch {
	case err == nil, errors.As(err, &unavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !transient(err):
		return err
	case errors.As(err, &pgErr) && !isContentFree(pgErr.Code):
		return &pgconn.PgError{Severity: pgErr.Severity, Code: pgErr.Code, Message: "a statement failed on the content of a row"}
	case transient(err):
		return &SourceUnavailable{Err: err}
	}
	return err
}

// retry does what may fail for a while, as the policy says. Its error is fit for
// logs.
func (p *Postgres) retry(ctx context.Context, what string, do func() error) error {
	return p.fault(p.policy.retry(ctx, transient, func(err error, wait time.Duration) {
		p.log.Warn("reading from Postgres is tried again", "what", what, "wait", wait.Round(time.Millisecond), "error", p.fault(err))
	}, do))
}

// logger returns one that says nothing if there is none.
func logger(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
