package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
	"github.com/chatbackfill/chatbackfill/transform"
)

func TestSend_OK(t *testing.T) {
	s := segmenttest.New(t)
	s.RequireKey(canaryKey)
	var attempts atomic.Int64
	d := openSegment(t, s, func(c *SegmentConfig) {
		c.Observe = func(a Attempt) {
			if a.Accepted && a.Status == 200 && !a.Retry {
				attempts.Add(int64(a.Events))
			}
		}
	})
	sent := events(2345)
	delivery, err := d.Send(t.Context(), sent)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, delivery, "a2345")
	wantAccepted(t, s, sent)
	if dup := s.Duplicates(); len(dup) > 0 {
		t.Errorf("accepted more than once: %v", dup)
	}
	if n := attempts.Load(); n != 2345 {
		t.Errorf("observed %d accepted events, want 2345", n)
	}
	for _, r := range s.Requests() {
		if len(r.Body) > maxBatchBytes || len(r.IDs) > maxBatchEvents {
			t.Errorf("request of %d bytes and %d events", len(r.Body), len(r.IDs))
		}
	}
	if first := s.Requests()[0]; len(first.IDs) != 1 {
		t.Errorf("the first request has %d events, want 1 alone", len(first.IDs))
	}
}

func TestSend_OK_NoEvents(t *testing.T) {
	s := segmenttest.New(t)
	delivery, err := openSegment(t, s, nil).Send(t.Context(), nil)
	if err != nil || len(delivery.Outcomes) != 0 || len(s.Requests()) != 0 {
		t.Errorf("got %v, %v and %d requests", delivery, err, len(s.Requests()))
	}
}

// A single event may be large; batches of such events stay below the limit with
// their commas counted.
func TestSend_OK_LargeEvents(t *testing.T) {
	s := segmenttest.New(t)
	d := openSegment(t, s, nil)
	var sent []*transform.Event
	for i := range 60 {
		e := event(i, "")
		e.Body = strings.Repeat("x", transform.MaxEventBytes-len(e.JSON)-len(`,"message_body":""`))
		encode(e)
		sent = append(sent, e)
	}
	if n := len(sent[3].JSON); n != transform.MaxEventBytes {
		t.Fatalf("event of %d bytes, want %d", n, transform.MaxEventBytes)
	}
	delivery, err := d.Send(t.Context(), sent)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, delivery, "a60")
	wantAccepted(t, s, sent)
	for _, r := range s.Requests() {
		if len(r.Body) > maxBatchBytes {
			t.Errorf("request of %d bytes", len(r.Body))
		}
	}
	if n := len(s.Requests()); n != 1+4 {
		t.Errorf("%d requests, want one of 1 event and four of up to 15", n)
	}
}

// What an answer means. Every case begins with an event accepted, so that the
// fault meets a batch of several.
func TestSend_Answers(t *testing.T) {
	const halts, retries = "halts", "retries"
	html := segmenttest.HTML()
	plainHTML := segmenttest.Answer{Status: 200, Body: "\n <html>"}
	cases := map[string]struct {
		answer     segmenttest.Answer
		want       string
		duplicates bool
	}{
		"200 with a huge body":         {segmenttest.Answer{Body: `{"x":"` + strings.Repeat("x", 1<<20)}, "accepts", false},
		"200 with an empty body":       {segmenttest.Answer{Body: " "}, "accepts", false},
		"200 HTML":                     {html, halts, false},
		"200 HTML without saying so":   {plainHTML, halts, false},
		"200 success false":            {segmenttest.NoSuccess(), halts, false},
		"200 success false, then much": {segmenttest.Answer{Status: 200, Body: `{"a":{"success":true},"success":false,"x":"` + strings.Repeat("x", 1<<20)}, halts, false},
		"lost answer":                  {segmenttest.LoseAnswer(), retries, true},
	}
	for _, code := range []int{201, 202, 204, 206, 300, 301, 302, 303, 304, 307, 308, 401, 402, 403, 404, 405, 406, 409, 415, 422, 499, 501, 505} {
		cases[statusName(code)] = struct {
			answer     segmenttest.Answer
			want       string
			duplicates bool
		}{segmenttest.Status(code), halts, false}
	}
	for _, code := range []int{408, 410, 429, 460, 500, 502, 503, 504, 507, 511, 520, 529, 599} {
		cases[statusName(code)] = struct {
			answer     segmenttest.Answer
			want       string
			duplicates bool
		}{segmenttest.Status(code), retries, false}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := segmenttest.NewPipe(t)
				d := openPiped(t, s, nil)
				sent := events(12)
				first, err := d.Send(t.Context(), sent[:2])
				if err != nil {
					t.Fatal(err)
				}
				wantOutcomes(t, first, "a2")
				before := len(s.Requests())
				s.Fault(segmenttest.Times(3, c.answer))
				delivery, err := d.Send(t.Context(), sent[2:])
				requests := len(s.Requests()) - before
				switch c.want {
				case halts:
					var refused *Refused
					if !errors.As(err, &refused) || refused.Status != c.answer.Status || refused.Try() == "" {
						t.Fatalf("error %v, want *Refused", err)
					}
					wantNoCanary(t, err.Error())
					wantOutcomes(t, delivery, "-10")
					wantAccepted(t, s, sent[:2])
					if requests != 1 {
						t.Errorf("%d requests, want 1", requests)
					}
					if _, again := d.Send(t.Context(), sent[2:]); again != err {
						t.Errorf("another Send: %v, want the same error", again)
					}
				case retries:
					if err != nil {
						t.Fatal(err)
					}
					wantOutcomes(t, delivery, "a10")
					wantAccepted(t, s, sent)
					if requests != 4 {
						t.Errorf("%d requests, want 4", requests)
					}
				default:
					if err != nil {
						t.Fatal(err)
					}
					wantOutcomes(t, delivery, "a10")
					wantAccepted(t, s, sent)
				}
				if dup := s.Duplicates(); (len(dup) > 0) != c.duplicates {
					t.Errorf("duplicates %v", dup)
				}
			})
		})
	}
}

func TestSend_ConnectionCut(t *testing.T) {
	s := segmenttest.New(t)
	d := openSegment(t, s, nil)
	s.CutNext(1)
	sent := events(3)
	delivery, err := d.Send(t.Context(), sent)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, delivery, "a3")
	wantAccepted(t, s, sent)
}

func TestSend_ErrNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := NewSegment(SegmentConfig{WriteKey: canaryKey, Endpoint: "http://" + address})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	delivery, err := d.Send(t.Context(), events(2))
	var unavailable *Unavailable
	if !errors.As(err, &unavailable) || !strings.Contains(err.Error(), "connection refused") {
		t.Fatalf("error %v, want *Unavailable", err)
	}
	wantOutcomes(t, delivery, "-2")
	wantNoCanary(t, err.Error())
}

// A redirect's target sees no connection at all.
func TestSend_ErrRedirect(t *testing.T) {
	target := segmenttest.New(t)
	for _, code := range []int{301, 302, 307, 308} {
		s := segmenttest.New(t)
		redirect := segmenttest.Redirect(target.URL + "/elsewhere?secret=1")
		redirect.Status = code
		s.Fault(segmenttest.Always(redirect))
		delivery, err := openSegment(t, s, nil).Send(t.Context(), events(3))
		var refused *Refused
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "redirecting to "+target.URL) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d: error %v", code, err)
		}
		wantOutcomes(t, delivery, "-3")
	}
	if n := target.Connections(); n != 0 {
		t.Errorf("the target has seen %d connections", n)
	}
}

func TestSend_BadEvents(t *testing.T) {
	for _, status := range []int{400, 413} {
		t.Run(statusName(status), func(t *testing.T) {
			s := segmenttest.New(t)
			d := openSegment(t, s, nil)
			sent := events(1000)
			bad := []int{1, 2, 500, 999}
			var badIDs []string
			for _, i := range bad {
				badIDs = append(badIDs, sent[i].ID.String())
			}
			poison := segmenttest.Poison(badIDs...)
			s.Fault(func(r segmenttest.Request) segmenttest.Answer {
				a := poison(r)
				if a.Status != 0 {
					a.Status = status
				}
				return a
			})
			delivery, err := d.Send(t.Context(), sent)
			if err != nil {
				t.Fatal(err)
			}
			wantOutcomes(t, delivery, "a1 r2 a497 r1 a498 r1")
			reject := delivery.Outcomes[500].Reject
			want := extract.Reject{
				Stage: extract.StageSend, Reason: RefusedBySegment, Locator: badIDs[2],
				ConversationID: "conversation-125", MessageID: "message-500",
				Detail: fmt.Sprintf("Segment answered %s: %s", statusName(status), `{"success":false,"message":"invalid event"}`),
			}
			if *reject != want {
				t.Errorf("reject\n%+v\nwant\n%+v", *reject, want)
			}
			good := slices.DeleteFunc(slices.Clone(sent), func(e *transform.Event) bool { return slices.Contains(badIDs, e.ID.String()) })
			wantAccepted(t, s, good)
			if dup := s.Duplicates(); len(dup) > 0 {
				t.Errorf("duplicates %v", dup)
			}
		})
	}
}

func TestSend_ErrTwentyRefusalsInARow(t *testing.T) {
	s := segmenttest.New(t)
	d := openSegment(t, s, nil)
	s.Fault(segmenttest.Always(segmenttest.Status(400)))
	sent := events(100)
	early, err := d.Send(t.Context(), sent[:5])
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, early, "r5")
	delivery, err := d.Send(t.Context(), sent[5:])
	var refused *Refused
	if !errors.As(err, &refused) || refused.Status != 400 {
		t.Fatalf("error %v, want *Refused", err)
	}
	if want := ids(sent[:20]); !slices.Equal(refused.IDs, want) {
		t.Errorf("ids %v, want %v", refused.IDs, want)
	}
	wantOutcomes(t, delivery, "-95")
	wantNoCanary(t, err.Error())
}

// Nineteen refusals and one acceptance between, any number of times, is only
// bad data.
func TestSend_OK_RefusalsWithAcceptancesBetween(t *testing.T) {
	s := segmenttest.New(t)
	d := openSegment(t, s, nil)
	sent := events(100)
	var bad []string
	for i, e := range sent {
		if i%20 != 19 {
			bad = append(bad, e.ID.String())
		}
	}
	s.Fault(segmenttest.Poison(bad...))
	for i := range 5 {
		delivery, err := d.Send(t.Context(), sent[20*i:20*i+20])
		if err != nil {
			t.Fatal(err)
		}
		wantOutcomes(t, delivery, "r19 a1")
	}
}

func TestSend_Checks(t *testing.T) {
	sent := events(9)
	sent[0].Name = 0
	sent[1].ID = transform.ID{}
	sent[2].JSON = nil
	sent[3].UserID = ""
	sent[4].Timestamp = 0
	sent[5].Timestamp = extract.TimeOf(time.Now().Add(25 * time.Hour))
	sent[6].JSON = append(sent[6].JSON, strings.Repeat(" ", transform.MaxEventBytes)...)
	sent[7].UserID, sent[7].AnonymousID = "", "anonymous"
	encode(sent[7])
	sent[8].Timestamp = extract.TimeOf(time.Now().Add(23 * time.Hour).Truncate(time.Millisecond))
	encode(sent[8])

	s := segmenttest.New(t)
	delivery, err := openSegment(t, s, nil).Send(t.Context(), sent)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, delivery, "r7 a2")
	wantAccepted(t, s, sent[7:])
	want := []extract.Reason{InvalidEvent, InvalidEvent, InvalidEvent, transform.NoIdentity, extract.BadTimestamp, extract.BadTimestamp, transform.TooLarge}
	for i, reason := range want {
		r := delivery.Outcomes[i].Reject
		if r.Reason != reason || r.Stage != extract.StageSend || r.Locator != sent[i].ID.String() || r.Detail == "" {
			t.Errorf("event %d: %+v, want %s", i, r, reason)
		}
		wantNoCanary(t, r.Detail)
	}
}

func TestSend_ReusesConnections(t *testing.T) {
	t.Run("one at a time", func(t *testing.T) {
		s := segmenttest.New(t)
		d := openSegment(t, s, func(c *SegmentConfig) { c.Concurrency = 1 })
		for range 100 {
			if _, err := d.Send(t.Context(), events(5)); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.Connections(); n != 1 {
			t.Errorf("%d connections for %d requests, want 1", n, len(s.Requests()))
		}
	})
	t.Run("four at a time", func(t *testing.T) {
		s := segmenttest.New(t)
		d := openSegment(t, s, nil)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for range 50 {
					if _, err := d.Send(t.Context(), events(5)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n := s.Connections(); n > 2*defaultConcurrency {
			t.Errorf("%d connections for %d requests", n, len(s.Requests()))
		}
	})
	t.Run("dials anew after a 5xx", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := segmenttest.NewPipe(t)
			d := openPiped(t, s, nil)
			s.Fault(segmenttest.Times(2, segmenttest.Status(503)))
			if _, err := d.Send(t.Context(), events(1)); err != nil {
				t.Fatal(err)
			}
			if n := s.Connections(); n != 3 {
				t.Errorf("%d connections, want 3", n)
			}
		})
	})
}

// No more batches are in flight than Concurrency says, whoever sends them.
func TestSend_Concurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := segmenttest.NewPipe(t)
		d := openPiped(t, s, func(c *SegmentConfig) { c.Concurrency = 3 })
		if _, err := d.Send(t.Context(), events(1)); err != nil {
			t.Fatal(err)
		}
		s.Fault(segmenttest.Always(segmenttest.Answer{After: time.Second}))
		began := time.Now()
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				if _, err := d.Send(t.Context(), events(10)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("12 batches, 3 at a time, of a second each took %s", took)
		}
	})
}

func TestSend_ErrPermit(t *testing.T) {
	s := segmenttest.New(t)
	lost := errors.New("lease lost")
	asked := 0
	d := openSegment(t, s, func(c *SegmentConfig) {
		c.Concurrency = 1
		c.Permit = func() error {
			if asked++; asked > 2 {
				return lost
			}
			return nil
		}
	})
	delivery, err := d.Send(t.Context(), events(3001))
	if err != lost {
		t.Fatalf("error %v, want what Permit returned", err)
	}
	accepted := 0
	for _, o := range delivery.Outcomes {
		if o.Accepted {
			accepted++
		}
	}
	if accepted != 1001 || len(s.Requests()) != 2 || s.Events() != 1001 {
		t.Errorf("%d accepted in %d requests, want 1001 in 2", accepted, len(s.Requests()))
	}
}

func TestSend_ErrContextEnds(t *testing.T) {
	s := segmenttest.New(t)
	s.Fault(segmenttest.Always(segmenttest.Answer{Never: true}))
	d := openSegment(t, s, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("second signal")
	go func() {
		for len(s.Requests()) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel(cause)
	}()
	delivery, err := d.Send(ctx, events(3))
	if err != cause {
		t.Errorf("error %v, want %v", err, cause)
	}
	wantOutcomes(t, delivery, "-3")
}

// A server that repeats the request, or says too much, does not get it into an
// error, a reject or a log.
func TestSend_Canary(t *testing.T) {
	echo := func(status int) func(segmenttest.Request) segmenttest.Answer {
		return func(r segmenttest.Request) segmenttest.Answer {
			return segmenttest.Answer{Status: status, Body: "you sent " + canaryKey + r.Header.Get("Authorization") + string(r.Body)}
		}
	}
	body := func(status int) func(segmenttest.Request) segmenttest.Answer {
		return func(segmenttest.Request) segmenttest.Answer {
			return segmenttest.Answer{Status: status, Body: "bad text: " + canaryBody}
		}
	}
	for _, fault := range []func(segmenttest.Request) segmenttest.Answer{
		echo(200), echo(400), echo(401), echo(503), body(400), body(401), body(503),
	} {
		var log strings.Builder
		s := segmenttest.New(t)
		s.Fault(fault)
		d := openSegment(t, s, func(c *SegmentConfig) {
			c.RetryFor = 0
			c.Logger = logTo(&log)
		})
		delivery, err := d.Send(t.Context(), events(2))
		wantNoCanary(t, fmt.Sprint(err), fmt.Sprintf("%+v", err), log.String())
		for _, o := range delivery.Outcomes {
			if o.Reject != nil {
				wantNoCanary(t, fmt.Sprintf("%+v", *o.Reject))
				if !strings.Contains(o.Reject.Detail, "left out") {
					t.Errorf("detail %q does not say that something is left out", o.Reject.Detail)
				}
			}
		}
	}
}

// A server that is none may answer with anything; net/http quotes it.
func TestSend_CanaryInMalformedAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = c.Read(make([]byte, 1<<16))
		_, _ = io.WriteString(c, canaryBody+"\n"+canaryKey)
		_ = c.Close()
	}()
	var log strings.Builder
	d, err := NewSegment(SegmentConfig{WriteKey: canaryKey, Endpoint: "http://" + listener.Addr().String(), Logger: logTo(&log)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = d.Send(t.Context(), events(1))
	if err == nil {
		t.Fatal("no error")
	}
	wantNoCanary(t, err.Error(), log.String())
	_ = listener.Close()
	<-done
}

// TestSend_ErrPanic: a panic in one of the goroutines that send is the error of
// Send, what the others achieved counts, and nothing shows what was panicked
// with.
func TestSend_ErrPanic(t *testing.T) {
	for name, panics := range map[string]int{"with the first event": 1, "in a batch": 3} {
		t.Run(name, func(t *testing.T) {
			s := segmenttest.New(t)
			asked := 0
			d := openSegment(t, s, func(c *SegmentConfig) {
				c.Concurrency = 1
				c.Permit = func() error {
					if asked++; asked == panics {
						panic(canaryBody)
					}
					return nil
				}
			})
			delivery, err := d.Send(t.Context(), events(3001))
			var p *extract.Panic
			if !errors.As(err, &p) || err.Error() != "panic with a string" || !bytes.Contains(p.Stack, []byte("TestSend_ErrPanic")) {
				t.Fatalf("error %v", err)
			}
			accepted := 0
			for _, o := range delivery.Outcomes {
				if o.Accepted {
					accepted++
				}
			}
			if accepted != s.Events() || accepted != []int{1: 0, 3: 1001}[panics] {
				t.Errorf("%d events were accepted, %d are said to be", s.Events(), accepted)
			}
		})
	}
}
