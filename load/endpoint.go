package load

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// EndpointFor returns the base URL of Segment's API in a region, "us" or "eu".
func EndpointFor(region string) (string, error) {
	switch region {
	case "us":
		return "https://api.segment.io", nil
	case "eu":
		return "https://events.eu1.segmentapis.com", nil
	}
	return "", &Misconfigured{
		Problem: fmt.Sprintf("region %q of the Segment destination is unknown", region),
		Advice:  "use us or eu, or give the endpoint's URL instead",
	}
}

// ValidateEndpoint returns the base URL to which analytics-go appends /v1/batch,
// given the URL of an API with or without that path. The error is a
// [*Misconfigured] and shows no user or password of the URL.
func ValidateEndpoint(endpoint string) (string, error) {
	bad := func(problem string) (string, error) {
		shown := fmt.Sprintf(" %q", endpoint)
		if strings.Contains(endpoint, "@") {
			shown = ""
		}
		return "", &Misconfigured{
			Problem: fmt.Sprintf("endpoint%s of the Segment destination %s", shown, problem),
			Advice:  "give the API's base URL, such as https://api.segment.io",
		}
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Hostname() == "":
		return bad("is no URL with a host")
	case u.User != nil:
		return bad("has a user or password in it: the write key has a place of its own")
	case strings.ContainsAny(endpoint, "?#"):
		return bad("has a query or fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return bad("is not https, which it must be off this machine")
	}
	path := strings.TrimRight(u.Path, "/")
	path = strings.TrimSuffix(path, "/batch")
	path = strings.TrimSuffix(path, "/v1")
	return u.Scheme + "://" + u.Host + strings.TrimRight(path, "/"), nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
