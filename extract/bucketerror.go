package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/aws/smithy-go"
	"gocloud.dev/gcerrors"
	"google.golang.org/api/googleapi"
)

// tryRights says what a store has to allow, and how it learns who asks.
var tryRights = map[string]string{
	"s3":     "allow s3:GetObject and s3:ListBucket, and give credentials as to AWS's own tools: AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role",
	"gs":     "allow storage.objects.get and storage.objects.list, and give credentials by GOOGLE_APPLICATION_CREDENTIALS or the machine's service account",
	"azblob": "give the role Storage Blob Data Reader, and AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or a managed identity",
}

// retry does what may fail for a while, as the policy says. Its error is one of
// [FileError], [ChangedError], [SourceUnavailable], or that of ctx. After a
// SourceUnavailable nothing is tried any more: waiting as long for each of many
// files would help nobody.
func (b *bucket) retry(ctx context.Context, name string, do func(context.Context) error) error {
	if down := b.down.Load(); down != nil {
		return down
	}
	return b.fault(ctx, name, b.policy.retry(ctx, passing, func(err error, wait time.Duration) {
		b.log.Warn("reading from a bucket is tried again", "file", name, "wait", wait.Round(time.Millisecond), "error", plainCause(err))
	}, func() error {
		limited, cancel := context.WithTimeout(ctx, attempt)
		defer cancel()
		return do(limited)
	}))
}

func (b *bucket) fault(ctx context.Context, name string, err error) error {
	switch {
	case err == nil, errors.Is(err, ErrChanged), ctx.Err() != nil:
		return err
	case passing(err):
		down := &SourceUnavailable{From: name, Err: plainCause(err)}
		b.down.Store(down)
		return down
	}
	file := &FileError{Path: name, Err: plainCause(err)}
	switch status := statusOf(err); {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusBadRequest, withoutCredentials(err):
		file.Try = tryRights[b.scheme]
	case status == http.StatusNotFound:
		file.Try = "check the name of the bucket"
	case status == http.StatusMovedPermanently:
		file.Try = "name the bucket's region: ?region=REGION"
	case errors.Is(err, errRange):
		file.Try = "use a store, or a proxy before it, that knows the header Range"
	default:
		file.Try = "check the address and its parameters"
	}
	return file
}

// passingStatus are answers of a store that is busy or in trouble.
var passingStatus = []int{
	http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// passing reports whether doing the same again may succeed.
func passing(err error) bool {
	var noHost *net.DNSError
	switch status := statusOf(err); {
	case errors.Is(err, ErrChanged), withoutCredentials(err), errors.As(err, &noHost) && noHost.IsNotFound:
		return false
	case errors.Is(err, io.ErrUnexpectedEOF), apiCode(err) == "RequestTimeout", apiCode(err) == "SlowDown":
		return true
	case status >= 300:
		return slices.Contains(passingStatus, status)
	}
	return transient(err) || errors.Is(err, context.DeadlineExceeded)
}

// isGone reports that an object is not there any more as it was found.
func isGone(err error) bool {
	code, status := gcerrors.Code(err), statusOf(err)
	return code == gcerrors.NotFound || code == gcerrors.FailedPrecondition || status == http.StatusNotFound ||
		status == http.StatusPreconditionFailed || status == http.StatusRequestedRangeNotSatisfiable
}

// withoutCredentials reports that nobody said who asks: the last place where
// AWS's client looks is a service that only its own machines have.
func withoutCredentials(err error) bool {
	for operation := (*smithy.OperationError)(nil); errors.As(err, &operation); err = operation.Err {
		if operation.Service() == "ec2imds" {
			return true
		}
	}
	return false
}

// statusOf is the status with which a store answered, 0 if it did not.
func statusOf(err error) int {
	var ofS3 interface{ HTTPStatusCode() int }
	var ofGoogle *googleapi.Error
	var ofAzure *azcore.ResponseError
	switch {
	case errors.As(err, &ofS3):
		return ofS3.HTTPStatusCode()
	case errors.As(err, &ofGoogle):
		return ofGoogle.Code
	case errors.As(err, &ofAzure):
		return ofAzure.StatusCode
	}
	return 0
}

func apiCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// plainCause tells what a store answered or why it could not. It leaves out
// requests, whose addresses can carry signatures.
func plainCause(err error) error {
	var (
		api     smithy.APIError
		google  *googleapi.Error
		azure   *azcore.ResponseError
		request *url.Error
	)
	switch status := statusOf(err); {
	case withoutCredentials(err):
		return errors.New("there are no credentials")
	case errors.As(err, &google):
		return fmt.Errorf("its store answered %d: %s", google.Code, google.Message)
	case errors.As(err, &azure):
		return fmt.Errorf("its store answered %d %s", azure.StatusCode, azure.ErrorCode)
	case errors.As(err, &api) && status != 0:
		return fmt.Errorf("its store answered %d %s: %s", status, api.ErrorCode(), api.ErrorMessage())
	case status >= 300:
		return fmt.Errorf("its store answered %d", status)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("its store did not answer within %v", attempt)
	case errors.As(err, &request):
		return fmt.Errorf("ask its store: %w", request.Err)
	}
	return err
}
