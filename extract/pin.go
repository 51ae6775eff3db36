package extract

import (
	"strconv"
	"strings"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob"
)

// The version of an object is its generation in Google's stores and its ETag in
// others: it is another one whenever the object is written.

// versionOf is the version of a listed object, or of one whose attributes were
// asked for; etag is what is known without the store's own types.
func versionOf(as func(any) bool, etag string) string {
	var (
		inS3     types.Object
		inGoogle storage.ObjectAttrs
		inAzure  container.BlobItem
	)
	switch {
	case as(&inGoogle):
		return generation(inGoogle.Generation)
	case as(&inS3) && inS3.ETag != nil:
		etag = *inS3.ETag
	case as(&inAzure) && inAzure.Properties != nil && inAzure.Properties.ETag != nil:
		etag = string(*inAzure.Properties.ETag)
	}
	return plainETag(etag)
}

// readVersion is the version of which a part is being read.
func readVersion(r *blob.Reader) string {
	var (
		fromS3     s3.GetObjectOutput
		fromGoogle *storage.Reader
		fromAzure  azblob.DownloadStreamResponse
	)
	switch {
	case r.As(&fromS3) && fromS3.ETag != nil:
		return plainETag(*fromS3.ETag)
	case r.As(&fromGoogle):
		return generation(fromGoogle.Attrs.Generation)
	case r.As(&fromAzure) && fromAzure.ETag != nil:
		return plainETag(string(*fromAzure.ETag))
	}
	return ""
}

func generation(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// plainETag makes the spellings of one ETag equal: listings leave out quotes.
func plainETag(etag string) string {
	return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
}

// pin makes a store refuse to read another version.
func (o *object) pin(as func(any) bool) error {
	if o.version == "" {
		return once(as)
	}
	var (
		toS3     *s3.GetObjectInput
		toGoogle **storage.ObjectHandle
		toAzure  *azblob.DownloadStreamOptions
	)
	etag := `"` + o.version + `"`
	if as(&toS3) {
		toS3.IfMatch = &etag
	}
	if as(&toGoogle) {
		if n, err := strconv.ParseInt(o.version, 10, 64); err == nil {
			*toGoogle = (*toGoogle).If(storage.Conditions{GenerationMatch: n})
		}
	}
	if as(&toAzure) {
		match := azcore.ETag(etag)
		toAzure.AccessConditions = &azblob.AccessConditions{ModifiedAccessConditions: &azblob.ModifiedAccessConditions{IfMatch: &match}}
	}
	return once(as)
}

// once leaves trying again to us, in the client that lets itself be told so.
// Nor need it say each time that a part of an object has no checksum.
func once(as func(any) bool) error {
	var options *[]func(*s3.Options)
	if as(&options) {
		*options = append(*options, func(o *s3.Options) {
			o.Retryer = aws.NopRetryer{}
			o.DisableLogOutputChecksumValidationSkipped = true
		})
	}
	return nil
}
