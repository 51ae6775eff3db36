package jobs

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatbackfill/chatbackfill/load"
)

// Observer is told what a run does while it does it. Its methods are called from
// several goroutines, return at once and never panic.
type Observer interface {
	Sending()           // a batch is about to be sent
	Batch(load.Attempt) // what came of it
	Advance(Summary)    // what the run did up to a checkpoint; the summary is the observer's own
	Done(Summary, error)
}

// unobserved is an Observer of runs that nobody observes.
type unobserved struct{}

func (unobserved) Sending()            {}
func (unobserved) Batch(load.Attempt)  {}
func (unobserved) Advance(Summary)     {}
func (unobserved) Done(Summary, error) {}

// permit returns nil once a batch may be sent, which is then begun.
func (e *Execution) permit(ctx context.Context, lease *Lease) error {
	err := lease.Permit(ctx)
	if err == nil {
		e.Observer.Sending()
	}
	return err
}

// RunMetrics counts what the runs of one job do. It is a [prometheus.Collector]
// whose metrics have no label for the job: that is for whoever registers it.
type RunMetrics struct {
	rows    prometheus.Counter
	events  *prometheus.CounterVec // by name
	rejects *prometheus.CounterVec // by reason
	batches *prometheus.CounterVec // by status
	retries prometheus.Counter
	runs    *prometheus.CounterVec // by exit

	mu       sync.Mutex
	inFlight int
	seen     Summary // what of the run under way is counted
	known    milestones
}

// milestones are the times that ages and lags are measured from; the zero time
// is not known.
type milestones struct {
	upper      time.Time // upper bound of the last finished pass
	success    time.Time // end of the last run that succeeded
	checkpoint time.Time
	rejects    int // open
}

// NewRunMetrics returns the metrics of a job of which nothing is known yet.
func NewRunMetrics() *RunMetrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "chatbackfill", Name: name, Help: help}
	}
	return &RunMetrics{
		rows:    prometheus.NewCounter(counter("rows_read_total", "Rows of the source whose outcome is recorded.")),
		events:  prometheus.NewCounterVec(counter("events_total", "Events accepted by the destination."), []string{"name"}),
		rejects: prometheus.NewCounterVec(counter("rejects_total", "Rows and events rejected."), []string{"reason"}),
		batches: prometheus.NewCounterVec(counter("batches_total", "Requests to Segment by status of the answer; none: there was no answer."), []string{"status"}),
		retries: prometheus.NewCounter(counter("retries_total", "Requests to Segment after which the same events are sent again.")),
		runs:    prometheus.NewCounterVec(counter("runs_total", "Runs that ended, by exit code."), []string{"status"}),
	}
}

var (
	inFlightDesc   = gaugeDesc("batches_in_flight", "Requests to Segment under way.")
	lagDesc        = gaugeDesc("lag_seconds", "Time since the upper bound of the last finished pass.")
	sinceDesc      = gaugeDesc("seconds_since_success", "Time since the last run that read the source to its end and succeeded.")
	successDesc    = gaugeDesc("last_success_timestamp_seconds", "When the last run that read the source to its end and succeeded ended.")
	checkpointDesc = gaugeDesc("checkpoint_age_seconds", "Time since the last checkpoint.")
	openDesc       = gaugeDesc("open_rejects", "Rejects that wait to be mended or settled.")
)

func gaugeDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("chatbackfill_"+name, help, nil, nil)
}

func (m *RunMetrics) counters() []prometheus.Collector {
	return []prometheus.Collector{m.rows, m.events, m.rejects, m.batches, m.retries, m.runs}
}

// Describe implements [prometheus.Collector].
func (m *RunMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m.counters() {
		c.Describe(to)
	}
	for _, d := range []*prometheus.Desc{inFlightDesc, lagDesc, sinceDesc, successDesc, checkpointDesc, openDesc} {
		to <- d
	}
}

// Collect implements [prometheus.Collector]. What is not known is left out.
func (m *RunMetrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range m.counters() {
		c.Collect(to)
	}
	m.mu.Lock()
	known, inFlight := m.known, m.inFlight
	m.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	gauge(inFlightDesc, float64(inFlight))
	gauge(openDesc, float64(known.rejects))
	for d, since := range map[*prometheus.Desc]time.Time{lagDesc: known.upper, sinceDesc: known.success, checkpointDesc: known.checkpoint} {
		if !since.IsZero() {
			gauge(d, time.Since(since).Seconds())
		}
	}
	if !known.success.IsZero() {
		gauge(successDesc, float64(known.success.UnixMilli())/1000)
	}
}

// Sending implements [Observer].
func (m *RunMetrics) Sending() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight++
}

// Batch implements [Observer].
func (m *RunMetrics) Batch(a load.Attempt) {
	status := "none"
	if a.Status != 0 {
		status = strconv.Itoa(a.Status)
	}
	m.batches.WithLabelValues(status).Inc()
	if a.Retry {
		m.retries.Inc()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight--
}

// Advance implements [Observer].
func (m *RunMetrics) Advance(s Summary) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known.checkpoint = time.Now()
	m.count(s)
}

// Done implements [Observer].
func (m *RunMetrics) Done(s Summary, failure error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight = 0
	if s.RunID != "" {
		m.count(s)
	}
	m.seen = Summary{}
	if s.RunID == "" && (failure == nil || ExitCode(failure) == ExitLeaseHeld) {
		return // it did not begin
	}
	m.runs.WithLabelValues(strconv.Itoa(ExitCode(failure))).Inc()
}

// count adds what a run did since it was counted last. The lock is held.
func (m *RunMetrics) count(s Summary) {
	grow(m.rows, s.Tally.RowCount()-m.seen.Tally.RowCount())
	for name, n := range s.Sent {
		grow(m.events.WithLabelValues(name.String()), n-m.seen.Sent[name])
	}
	before := m.seen.Tally.RejectedByReason()
	for reason, n := range s.Tally.RejectedByReason() {
		grow(m.rejects.WithLabelValues(reason), n-before[reason])
	}
	m.seen = s
}

// grow adds n to a counter, which panics if it is negative.
func grow(c prometheus.Counter, n int) { c.Add(float64(max(0, n))) }

// refresh sets what ages and lags are measured from.
func (m *RunMetrics) refresh(s *JobStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known.rejects = s.OpenRejects
	if s.LastSuccess != nil {
		m.known.success = *s.LastSuccess
	}
	if s.Pass != nil {
		m.known.checkpoint = s.Pass.Updated
	}
	if s.Pass != nil && s.Pass.Done {
		m.known.upper = s.Pass.Upper
	}
}
