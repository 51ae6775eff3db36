package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
)

// PushMetrics adds the metrics of a run that was observed by m to a Prometheus
// Pushgateway, under the job's name and label. Metrics of earlier runs that m
// does not know, such as the last success, stay. The gateway's URL may hold a
// password: no error holds it.
func PushMetrics(ctx context.Context, gateway Secret, spec *Spec, m *RunMetrics) error {
	address, err := url.Parse(gateway.Reveal())
	if err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http" {
		return &Error{Exit: ExitUsage, Err: errors.New("push metrics: the URL of the gateway cannot be read"), Try: "https://HOST:9091"}
	}
	err = WithState(ctx, spec, func(j *JobState) error {
		status, err := j.Status(ctx, spec, time.Now())
		m.refresh(&status)
		return err
	})
	if err != nil {
		return fmt.Errorf("push metrics: %w", err)
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(m); err != nil {
		return fmt.Errorf("push metrics: %w", err)
	}
	return pushTo(ctx, address, push.New(address.String(), spec.Name).Grouping("label", spec.Label()).Gatherer(registry))
}

// pushClient keeps what a request to the gateway came to: the errors of package
// push hold its URL.
type pushClient struct {
	http.Client
	err error
}

// Do implements [push.HTTPDoer].
func (c *pushClient) Do(r *http.Request) (*http.Response, error) {
	response, err := c.Client.Do(r)
	if err != nil {
		c.err = withoutURL(err)
		return nil, err
	}
	c.err = answered(response.StatusCode)
	return response, nil
}

func pushTo(ctx context.Context, address *url.URL, pusher *push.Pusher) error {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	client := &pushClient{Client: http.Client{Transport: transport, Timeout: alertTimeout, CheckRedirect: noRedirect}}
	err := pusher.Client(client).AddContext(ctx)
	if err != nil && client.err == nil {
		client.err = errors.New("the answer cannot be read")
	}
	if err != nil {
		return fmt.Errorf("push metrics to %s: %w", address.Host, client.err)
	}
	return nil
}
