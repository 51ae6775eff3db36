package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// How long an alert is tried to be posted, and how long one try may take.
const (
	alertPatience = 30 * time.Second
	alertTimeout  = 10 * time.Second
)

// postAlert posts an alert. No error holds the URL: whoever knows it can post.
func postAlert(ctx context.Context, to Secret, a Alert) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	address, err := alertURL(to)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	client := &http.Client{Transport: transport, Timeout: alertTimeout, CheckRedirect: noRedirect}
	ctx, cancel := context.WithTimeout(ctx, alertPatience)
	defer cancel()
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		return struct{}{}, postOnce(ctx, client, address, body)
	}, backoff.WithMaxElapsedTime(alertPatience))
	return err
}

// noRedirect makes a client return redirects instead of following them: where
// they lead to is not what the job file says.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// alertURL returns the URL if it is one that alerts may be posted to.
func alertURL(to Secret) (string, error) {
	u, err := url.Parse(to.Reveal())
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("the URL cannot be read")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", errors.New("the URL must be https")
	}
	return u.String(), nil
}

func postOnce(ctx context.Context, client *http.Client, address string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(errors.New("the URL cannot be read"))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "chatbackfill")
	response, err := client.Do(request)
	if err != nil {
		return withoutURL(err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that it can end well
	response.Body.Close()
	return answered(response.StatusCode)
}

// answered returns nil if an answer is good, and a permanent error if it would
// be the same another time.
func answered(status int) error {
	err := fmt.Errorf("the answer is %d %s", status, http.StatusText(status))
	switch {
	case status/100 == 2:
		return nil
	case status/100 == 5, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return err
	}
	return backoff.Permanent(err)
}

// withoutURL returns an error of package http without the URL in it.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
