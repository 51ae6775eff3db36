// Package segmenttest is a Segment tracking API for tests: it records what it
// accepts and behaves as the real one is documented to, faults included.
//
// A server made by [New] listens on the loopback; one made by [NewPipe] is
// reached through [Server.Dial] only and lives in memory, so that it works
// inside a bubble of testing/synctest; one made by [NewCounting] only counts,
// which costs next to nothing.
package segmenttest

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Event is an event that the server has taken, or dropped.
type Event struct {
	ID     string
	JSON   json.RawMessage // as it was in the request that brought it last
	SentAt []time.Time     // of the requests that brought it, one for each
}

// Times is how many requests brought the event.
func (e *Event) Times() int { return len(e.SentAt) }

// Server is the API. Its methods may be called at any time and from any
// goroutine.
type Server struct {
	URL string // base URL; the API is at /v1/batch below it

	http     *httptest.Server
	pipe     *pipeListener
	counting bool
	closed   chan struct{} // ends answers that take their time

	mu          sync.Mutex
	key         string
	fault       func(Request) Answer
	cut         int // requests still to be cut off unread
	requests    []Request
	accepted    map[string]*Event
	dropped     map[string]*Event
	connections int

	events atomic.Int64
}

// New starts a server on the loopback and closes it when the test ends.
func New(t testing.TB) *Server {
	t.Helper()
	s := newServer()
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.start(t)
	return s
}

// NewPipe starts a server in memory, on connections that [Server.Dial] makes.
// Its URL is one of the loopback, where nothing listens.
func NewPipe(t testing.TB) *Server {
	t.Helper()
	s := newServer()
	s.pipe = newPipeListener()
	s.http = &httptest.Server{
		Listener: s.pipe,
		Config:   &http.Server{Handler: http.HandlerFunc(s.serve)},
	}
	s.start(t)
	return s
}

// NewCounting starts a server on the loopback that accepts everything, counts
// the events, and records nothing of them.
func NewCounting(t testing.TB) *Server {
	t.Helper()
	s := newServer()
	s.counting = true
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.start(t)
	return s
}

func newServer() *Server {
	return &Server{
		closed:   make(chan struct{}),
		accepted: map[string]*Event{},
		dropped:  map[string]*Event{},
	}
}

func (s *Server) start(t testing.TB) {
	s.http.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			s.connections++
			s.mu.Unlock()
		}
	}
	s.http.Start()
	s.URL = s.http.URL
	t.Cleanup(func() {
		close(s.closed)
		s.http.CloseClientConnections()
		s.http.Close()
	})
}

// Dial connects to a server made by [NewPipe], whatever the address.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return s.pipe.dial(ctx)
}

// RequireKey makes the server answer 401 to every other write key.
func (s *Server) RequireKey(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
}

// Fault sets what decides on the answer to each request. The zero [Answer] is
// that of the API; nil takes all faults away.
func (s *Server) Fault(fault func(Request) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// CutNext makes the server close the connections of the next n requests without
// reading what they bring.
func (s *Server) CutNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = n
}

// Accepted returns all events that were accepted, by id.
func (s *Server) Accepted() map[string]Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return copied(s.accepted)
}

// Dropped returns the events that were answered with 200 and dropped, by id, as
// the API does with those that have no identity, for example.
func (s *Server) Dropped() map[string]Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return copied(s.dropped)
}

func copied(events map[string]*Event) map[string]Event {
	out := make(map[string]Event, len(events))
	for id, e := range events {
		out[id] = Event{ID: e.ID, JSON: slices.Clone(e.JSON), SentAt: slices.Clone(e.SentAt)}
	}
	return out
}

// Duplicates returns the ids of the events that were accepted more than once,
// sorted.
func (s *Server) Duplicates() []string {
	var ids []string
	for id, e := range s.Accepted() {
		if e.Times() > 1 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// IDs returns the ids of all accepted events, sorted.
func (s *Server) IDs() []string {
	return slices.Sorted(maps.Keys(s.Accepted()))
}

// Requests returns all requests that were read, in their order. A server made by
// [NewCounting] keeps none.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Connections is how many connections were made.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// Events is how many events were accepted, each as often as it was.
func (s *Server) Events() int { return int(s.events.Load()) }
