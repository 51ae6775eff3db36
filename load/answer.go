package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// answer is what came back for a request.
type answer struct {
	status     int    // 0: none came
	err        error  // why none came, or not the whole of it
	body       []byte // its first 64 KB
	html       bool
	location   string    // scheme and host of where a redirect leads
	date       time.Time // by the server's clock; zero if it does not say
	retryAfter string    // as sent
	sent       time.Time // when the request was begun
	received   time.Time // when the head of the answer was there
}

// verdict is what an answer means for the batch.
type verdict int

const (
	later    verdict = iota // not now: wait and send the same again
	accepted                // taken
	suspect                 // something in the batch is bad
	halting                 // not our API, or not our key: nothing will be taken
)

func answerOf(res *http.Response) answer {
	a := answer{status: res.StatusCode, retryAfter: res.Header.Get("Retry-After")}
	a.date, _ = http.ParseTime(res.Header.Get("Date"))
	mediaType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	a.html = mediaType == "text/html"
	if u, err := url.Parse(res.Header.Get("Location")); err == nil && u.Host != "" {
		a.location = u.Scheme + "://" + u.Host
	}
	return a
}

func (a *answer) verdict() verdict {
	switch s := a.status; {
	case s == 0:
		return later
	case s == http.StatusOK && a.err != nil:
		return later
	case s == http.StatusOK && !a.isHTML() && !a.deniesSuccess():
		return accepted
	case s == http.StatusBadRequest, s == http.StatusRequestEntityTooLarge:
		return suspect
	case s == http.StatusRequestTimeout, s == http.StatusGone, s == http.StatusTooManyRequests, s == 460:
		return later
	case s == http.StatusNotImplemented, s == http.StatusHTTPVersionNotSupported:
		return halting
	case s >= 500 && s <= 599:
		return later
	}
	return halting
}

func (a *answer) isHTML() bool {
	return a.html || bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("<"))
}

// deniesSuccess reports whether the body is a JSON object with "success": false
// in it, as far as the body was read.
func (a *answer) deniesSuccess() bool {
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	if brace, err := decoder.Token(); err != nil || brace != json.Delim('{') {
		return false
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return false
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return false
		}
		if key == "success" {
			return string(value) == "false"
		}
	}
	return false
}

const (
	minRetryAfter = 500 * time.Millisecond
	maxRetryAfter = 5 * time.Minute
)

// askedWait returns how long the answer asks to wait, within limits; false if
// it does not, or not in a way that makes sense.
func (a *answer) askedWait() (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(a.retryAfter, 10, 32); err == nil {
		return clampWait(time.Duration(seconds) * time.Second), true
	}
	at, err := http.ParseTime(a.retryAfter)
	if err != nil {
		return 0, false
	}
	now := a.date
	if now.IsZero() {
		now = a.received
	}
	return clampWait(at.Sub(now)), true
}

func clampWait(d time.Duration) time.Duration {
	return min(max(d, minRetryAfter), maxRetryAfter)
}

// statusText is the status as people know it.
func (a *answer) statusText() string {
	if text := http.StatusText(a.status); text != "" {
		return fmt.Sprintf("%d %s", a.status, text)
	}
	return strconv.Itoa(a.status)
}

// Error makes an answer what analytics-go is told of a batch that was not taken.
func (a *answer) Error() string { return "answer " + strconv.Itoa(a.status) }
