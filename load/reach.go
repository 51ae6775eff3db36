package load

import (
	"context"
	"fmt"
	"net/http"
)

// Reach connects to an endpoint of Segment's API, given as [ValidateEndpoint]
// takes it, as sending would: through the same proxy, with the same check of
// its certificate. It sends no event and no write key. It returns a warning if
// this machine's clock is off. The error is a [*Misconfigured] or an
// [*Unavailable].
func Reach(ctx context.Context, endpoint string) (warning string, err error) {
	base, err := ValidateEndpoint(endpoint)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, base+"/", nil)
	if err != nil {
		return "", err
	}
	transport := newTransport(1, nil)
	defer transport.CloseIdleConnections()
	x := exchange{ctx: ctx, transport: transport}
	a := x.ask(req)
	if a.status == 0 {
		return "", &Unavailable{
			Problem: fmt.Sprintf("connect to %s: %v", base, a.err),
			Advice:  "check the network, the proxy (HTTPS_PROXY) and the firewall of this machine",
		}
	}
	switch skew := a.skew(); {
	case skew.Abs() > maxSkew:
		return "", (&clock{}).check(&a)
	case skew.Abs() > warnSkew:
		return "this machine's clock is " + aheadOrBehind(skew) + " Segment's, which moves every event by that", nil
	}
	return "", nil
}
