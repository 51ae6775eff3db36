package extract

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// schemes are the kinds of buckets, in the order in which they are told.
var schemes = []string{"s3", "gs", "azblob"}

// address is where files lie in a bucket, as in
// s3://bucket/folder/**/*.parquet?region=eu-west-1.
type address struct {
	scheme, bucket string
	pattern        string // a key, the start of keys up to a slash, or a glob
	parameters     string // of the store, as gocloud.dev's URL openers know them
}

func isAddress(pattern string) bool { return strings.Contains(pattern, "://") }

// startOfParameters tells the ? before parameters from that of a glob.
var startOfParameters = regexp.MustCompile(`\?[A-Za-z][A-Za-z0-9_]*=`)

// parseAddress takes an address apart. Keys stand in it as they are: nothing
// is unescaped.
func parseAddress(text string) (address, error) {
	fail := func(problem, try string) (address, error) {
		return address{}, &FileError{Path: withoutParameters(text), Err: errors.New(problem), Try: try}
	}
	a := address{}
	if at := startOfParameters.FindStringIndex(text); at != nil {
		text, a.parameters = text[:at[0]], text[at[0]+1:]
	}
	scheme, rest, _ := strings.Cut(text, "://")
	a.scheme = scheme
	a.bucket, a.pattern, _ = strings.Cut(rest, "/")
	switch {
	case !slices.Contains(schemes, scheme):
		return fail("there are no addresses of this kind", "use "+strings.Join(schemes, "://, ")+"://, or the path of a local file, folder or glob")
	case strings.Contains(a.bucket, "@"):
		return fail("an address holds no credentials", tryRights[scheme])
	case a.bucket == "" || hasMeta(a.bucket):
		return fail("the name of its bucket is missing", "write "+scheme+"://BUCKET/FOLDER/*.parquet")
	}
	if _, err := url.ParseQuery(a.parameters); err != nil {
		return fail("its parameters are malformed", "write them as ?region=eu-west-1&use_path_style=true")
	}
	return a, nil
}

// withoutParameters is an address as it is told: without parameters, and
// without what is written before an @.
func withoutParameters(text string) string {
	if at := startOfParameters.FindStringIndex(text); at != nil {
		text = text[:at[0]]
	}
	scheme, rest, _ := strings.Cut(text, "://")
	bucket, key, slash := strings.Cut(rest, "/")
	bucket = bucket[strings.LastIndex(bucket, "@")+1:]
	if slash {
		key = "/" + key
	}
	return scheme + "://" + bucket + key
}

// root is the address of the bucket, which is what its store is opened by.
func (a address) root() string {
	root := a.scheme + "://" + a.bucket
	if a.parameters != "" {
		root += "?" + a.parameters
	}
	return root
}

// of is the address of a key, for people.
func (a address) of(key string) string { return a.scheme + "://" + a.bucket + "/" + key }
