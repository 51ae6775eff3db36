package jobs

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// gathered returns the metrics, as name or name{value of the label}.
func gathered(t *testing.T, m *RunMetrics) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(m); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "chatbackfill_")
			for _, label := range metric.GetLabel() {
				name += "{" + label.GetValue() + "}"
			}
			all[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return all
}

// wanted are the counters that a summary stands for.
func wanted(s Summary) map[string]float64 {
	all := map[string]float64{"rows_read_total": float64(s.Tally.RowCount())}
	for name, n := range s.Sent {
		all["events_total{"+name.String()+"}"] = float64(n)
	}
	for reason, n := range s.Tally.RejectedByReason() {
		all["rejects_total{"+reason+"}"] = float64(n)
	}
	return all
}

// TestMetricsAreThoseOfTheSummary runs a job into a Segment that fails now and
// then, and looks at the metrics during and after it.
func TestMetricsAreThoseOfTheSummary(t *testing.T) {
	d := newDelivery(t)
	m := NewRunMetrics()
	var mu sync.Mutex
	requests, most := 0, 0.0
	d.server.Fault(func(segmenttest.Request) segmenttest.Answer {
		mu.Lock()
		defer mu.Unlock()
		most = max(most, gathered(t, m)["batches_in_flight"])
		if requests++; requests%4 == 2 {
			return segmenttest.Status(503)
		}
		return segmenttest.Answer{}
	})
	summary, err := Execute(t.Context(), Execution{Spec: d.spec(), Log: quiet, Observer: m, chunkEvents: d.chunk})
	if err != nil {
		t.Fatal(err)
	}
	if most < 1 || most > chunksInFlight {
		t.Errorf("up to %v batches in flight", most)
	}
	got := gathered(t, m)
	want := wanted(summary)
	failed := got["batches_total{503}"]
	if failed < 1 || got["batches_total{200}"]+failed != float64(len(d.server.Requests())) {
		t.Errorf("%v batches failed and %v did not, of %d", failed, got["batches_total{200}"], len(d.server.Requests()))
	}
	for name, n := range map[string]float64{"batches_total{200}": got["batches_total{200}"], "batches_total{503}": failed, "retries_total": failed,
		"runs_total{0}": 1, "batches_in_flight": 0, "open_rejects": 0, "checkpoint_age_seconds": got["checkpoint_age_seconds"]} {
		want[name] = n
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got)\n%s", diff)
	}
	if age := got["checkpoint_age_seconds"]; age <= 0 || age > 60 {
		t.Errorf("checkpoint of %v seconds ago", age)
	}
}

// TestMetricsOfSeveralRuns adds runs up, those that are interrupted included.
func TestMetricsOfSeveralRuns(t *testing.T) {
	d := newDelivery(t)
	m := NewRunMetrics()
	spec, want := d.spec(), make(map[string]float64)
	for _, limit := range []int{100, 0, 0} {
		summary, err := Execute(t.Context(), Execution{Spec: spec, Log: quiet, Observer: m, Limit: limit, chunkEvents: d.chunk})
		if err != nil {
			t.Fatal(err)
		}
		for name, n := range wanted(summary) {
			want[name] += n
		}
	}
	got := gathered(t, m)
	maps.DeleteFunc(got, func(name string, _ float64) bool { _, ok := want[name]; return !ok })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got)\n%s", diff)
	}
}

// TestMetricsOfTime: a lag and a last success come from what succeeded only.
func TestMetricsOfTime(t *testing.T) {
	began := time.Now()
	d := newDelivery(t)
	m := NewRunMetrics()
	spec := d.spec()
	known := func() map[string]float64 {
		d.state(func(j *JobState) {
			status, err := j.Status(t.Context(), spec, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			m.refresh(&status)
		})
		return gathered(t, m)
	}
	run := func(e Execution) error {
		e.Spec, e.Log, e.Observer, e.chunkEvents = spec, quiet, m, d.chunk
		_, err := Execute(t.Context(), e)
		return err
	}
	d.server.Fault(segmenttest.Always(segmenttest.Status(401)))
	if err := run(Execution{}); ExitCode(err) != ExitRefused {
		t.Fatal(err)
	}
	d.server.Fault(nil)
	if err := run(Execution{Limit: 10}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lag_seconds", "seconds_since_success", "last_success_timestamp_seconds"} {
		if v, ok := known()[name]; ok {
			t.Errorf("%s is %v before anything succeeded", name, v)
		}
	}
	if err := run(Execution{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lag_seconds", "seconds_since_success"} {
		if v, ok := known()[name]; !ok || v < 0 || v > time.Since(began).Seconds() {
			t.Errorf("%s is %v, %v", name, v, ok)
		}
	}
}

func TestPushMetrics(t *testing.T) {
	d := newDelivery(t)
	m := NewRunMetrics()
	spec := d.spec()
	if _, err := Execute(t.Context(), Execution{Spec: spec, Log: quiet, Observer: m}); err != nil {
		t.Fatal(err)
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var request string
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		request = fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, min(1, len(body)))
	}))
	defer gateway.Close()
	if err := PushMetrics(t.Context(), NewSecret(gateway.URL), spec, m); err != nil {
		t.Fatal(err)
	}
	if want := "POST /metrics/job/chats/label/test 1"; request != want {
		t.Errorf("request %q, want %q", request, want)
	}
}

func TestPushMetricsErr(t *testing.T) {
	d := newDelivery(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	for name, test := range map[string]struct{ url, want string }{
		"a refusal":  {"http://user:s3cret@" + address + "/s3cret", "push metrics to " + address + ": the answer is 403 Forbidden"},
		"nobody":     {"http://user:s3cret@127.0.0.1:1/s3cret", "push metrics to 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused"},
		"not a URL":  {"s3cret", "push metrics: the URL of the gateway cannot be read"},
		"bad escape": {"http://%s3cret", "push metrics: the URL of the gateway cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			err := PushMetrics(context.Background(), NewSecret(test.url), d.spec(), NewRunMetrics())
			if err == nil || err.Error() != test.want {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}
