package segmenttest

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Answer is what to do with a request. The zero Answer is what the API is
// documented to do.
type Answer struct {
	Status int               // instead of the documented one; what is not 200 takes no event
	Body   string            // instead of the documented one
	Header map[string]string // with any answer; Date may be set
	After  time.Duration     // wait before anything else
	Lost   bool              // close the connection instead of answering, when the events were taken or not
	Never  bool              // do not answer as long as the client waits
}

// Status answers with an error status.
func Status(code int) Answer {
	return Answer{Status: code, Body: strconv.Itoa(code) + " " + http.StatusText(code)}
}

// Throttle answers 429 with this Retry-After, if it is not empty.
func Throttle(retryAfter string) Answer { return Retry(http.StatusTooManyRequests, retryAfter) }

// Retry answers with an error status and this Retry-After, if it is not empty.
func Retry(code int, retryAfter string) Answer {
	a := Status(code)
	if retryAfter != "" {
		a.Header = map[string]string{"Retry-After": retryAfter}
	}
	return a
}

// Redirect answers 302 to a URL.
func Redirect(url string) Answer {
	return Answer{Status: http.StatusFound, Header: map[string]string{"Location": url}}
}

// HTML answers 200 with a web page and takes nothing.
func HTML() Answer {
	return Answer{
		Status: http.StatusOK,
		Header: map[string]string{"Content-Type": "text/html; charset=utf-8"},
		Body:   "<!doctype html><title>Sign in</title>",
	}
}

// NoSuccess answers 200 with "success": false and takes nothing.
func NoSuccess() Answer {
	return Answer{Status: http.StatusOK, Body: `{"success": false, "message": "unknown source"}`}
}

// LoseAnswer takes the events and closes the connection without an answer.
func LoseAnswer() Answer { return Answer{Lost: true} }

// Skew answers as documented, by a clock that is ahead by d.
func Skew(d time.Duration) Answer {
	return Answer{Header: map[string]string{"Date": time.Now().Add(d).UTC().Format(http.TimeFormat)}}
}

// Always is a fault of every request.
func Always(a Answer) func(Request) Answer {
	return func(Request) Answer { return a }
}

// Times is a fault of the next n requests.
func Times(n int, a Answer) func(Request) Answer {
	var mu sync.Mutex
	return func(Request) Answer {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 {
			return Answer{}
		}
		n--
		return a
	}
}

// Poison is a fault of the requests that have one of these events in them: 400.
func Poison(ids ...string) func(Request) Answer {
	return func(r Request) Answer {
		for _, id := range ids {
			if r.Has(id) {
				return Answer{Status: http.StatusBadRequest, Body: `{"success":false,"message":"invalid event"}`}
			}
		}
		return Answer{}
	}
}

// answer does with a request what a says.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, req *Request, a Answer) {
	if !s.pause(r, a.After) {
		panic(http.ErrAbortHandler)
	}
	if a.Never {
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler)
	}
	status, body := a.Status, a.Body
	if status == 0 {
		if status, body = s.documented(req); status == http.StatusOK {
			s.take(req)
		}
		if a.Body != "" {
			body = a.Body
		}
	}
	if a.Lost {
		panic(http.ErrAbortHandler)
	}
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// pause waits, and reports whether the client still does.
func (s *Server) pause(r *http.Request, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	case <-s.closed:
		return false
	}
}
