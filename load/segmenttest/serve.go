package segmenttest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// The limits of the API. KB is taken as 1,000 bytes, the stricter reading.
const (
	maxRequestBytes  = 500_000
	maxEventBytes    = 32_000
	maxRequestEvents = 2_500
)

// Request is a request as the server read it.
type Request struct {
	N        int // counts from 1
	Path     string
	Header   http.Header
	Key      string // the write key
	Body     []byte
	SentAt   time.Time
	Received time.Time
	IDs      []string // the message ids
	events   []json.RawMessage
}

// Has reports whether the event with this message id is in the request.
func (r *Request) Has(id string) bool {
	for _, x := range r.IDs {
		if x == id {
			return true
		}
	}
	return false
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.cutOff() {
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if s.counting {
		s.count(w, body)
		return
	}
	req, fault := s.note(r, body)
	a := Answer{}
	if fault != nil {
		a = fault(req)
	}
	s.answer(w, r, &req, a)
}

func (s *Server) cutOff() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut == 0 {
		return false
	}
	s.cut--
	return true
}

func (s *Server) count(w http.ResponseWriter, body []byte) {
	s.events.Add(int64(bytes.Count(body, []byte(`{"type":"track"`))))
	_, _ = w.Write([]byte(success))
}

// note parses and records a request. A body that is not JSON leaves it without
// events.
func (s *Server) note(r *http.Request, body []byte) (Request, func(Request) Answer) {
	key, _, _ := r.BasicAuth()
	req := Request{Path: r.URL.Path, Header: r.Header, Key: key, Body: body, Received: time.Now()}
	var envelope struct {
		SentAt time.Time         `json:"sentAt"`
		Batch  []json.RawMessage `json:"batch"`
	}
	if json.Unmarshal(body, &envelope) == nil {
		req.SentAt, req.events = envelope.SentAt, envelope.Batch
	}
	for _, raw := range req.events {
		req.IDs = append(req.IDs, headOf(raw).MessageID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	req.N = len(s.requests) + 1
	s.requests = append(s.requests, req)
	return req, s.fault
}

const success = "{\n  \"success\": true\n}"

// documented returns what the API is documented to answer.
func (s *Server) documented(req *Request) (status int, body string) {
	s.mu.Lock()
	key := s.key
	s.mu.Unlock()
	switch {
	case req.Path != "/v1/batch":
		return http.StatusNotFound, "not found"
	case key != "" && req.Key != key:
		return http.StatusUnauthorized, `{"success":false,"message":"invalid write key"}`
	case len(req.Body) > maxRequestBytes:
		return http.StatusBadRequest, `{"success":false,"message":"request too large"}`
	case req.events == nil:
		return http.StatusBadRequest, `{"success":false,"message":"malformed JSON"}`
	}
	for _, raw := range req.events {
		if len(raw) > maxEventBytes {
			return http.StatusBadRequest, `{"success":false,"message":"event too large"}`
		}
	}
	return http.StatusOK, success
}

// head is what the API looks at in an event.
type head struct {
	MessageID   string `json:"messageId"`
	UserID      string `json:"userId"`
	AnonymousID string `json:"anonymousId"`
	Event       string `json:"event"`
}

func headOf(raw json.RawMessage) head {
	var h head
	_ = json.Unmarshal(raw, &h) // an event of another shape has no id
	return h
}

// take records the events of a request as accepted, or as dropped.
func (s *Server) take(req *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, raw := range req.events {
		h := headOf(raw)
		into := s.accepted
		if len(req.events) > maxRequestEvents || h.Event == "" || h.UserID == "" && h.AnonymousID == "" {
			into = s.dropped
		} else {
			s.events.Add(1)
		}
		e := into[h.MessageID]
		if e == nil {
			e = &Event{ID: h.MessageID}
			into[h.MessageID] = e
		}
		e.JSON = raw
		e.SentAt = append(e.SentAt, req.SentAt)
	}
}
