package load

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/chatbackfill/chatbackfill/load/failpoint"
)

const (
	dialTimeout    = 10 * time.Second
	headerTimeout  = 30 * time.Second
	requestTimeout = time.Minute
	idleTimeout    = time.Minute
	maxAnswerBytes = 64 << 10
)

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// newTransport returns the pool of connections that all batches share, one for
// each batch in flight.
//
// It speaks HTTP/1.1 only: an HTTP/2 transport waits and tries again by itself
// when a server refuses a stream, long after the client wrote the time of
// sending into the request. There is no limit of connections for the same
// reason: a batch must not wait for one.
func newTransport(concurrency int, dial dialFunc) *http.Transport {
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment, // never for the loopback
		DialContext:           dial,
		Protocols:             protocols,
		DisableCompression:    true,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		MaxIdleConnsPerHost:   concurrency,
		IdleConnTimeout:       idleTimeout,
	}
}

// exchange is the transport that one client sees, for its one request. It keeps
// the answer, and passes on a good one only: what else the client is told is an
// error, so that there is no redirect for it to follow and nothing to read.
type exchange struct {
	ctx       context.Context
	transport *http.Transport
	answer    answer
}

// RoundTrip implements [http.RoundTripper].
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	x.answer = x.ask(req)
	if x.answer.verdict() != accepted {
		return nil, &x.answer
	}
	return &http.Response{
		Status:     x.answer.statusText(),
		StatusCode: x.answer.status,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Body:       http.NoBody,
		Request:    req,
	}, nil
}

// ask sends the request with a context of our own: that of the client's ends
// after ten seconds, and an answer may take longer.
func (x *exchange) ask(req *http.Request) answer {
	ctx, cancel := context.WithTimeout(x.ctx, requestTimeout)
	defer cancel()
	own := (&http.Request{
		Method:        req.Method,
		URL:           req.URL,
		Header:        req.Header,
		Body:          req.Body,
		GetBody:       req.GetBody,
		ContentLength: req.ContentLength,
		Host:          req.Host,
	}).WithContext(ctx)

	failpoint.At("request-before")
	sent := time.Now()
	res, err := x.transport.RoundTrip(own)
	if err != nil {
		return answer{err: err, sent: sent, received: time.Now()}
	}
	failpoint.At("answer-unread")
	a := answerOf(res)
	a.sent, a.received = sent, time.Now()
	a.body, a.err = io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	if err := res.Body.Close(); a.err == nil {
		a.err = err
	}
	failpoint.At("answer-read")
	if a.status >= 500 {
		// Another address may do better: dial anew, resolving the name again.
		x.transport.CloseIdleConnections()
	}
	return a
}
