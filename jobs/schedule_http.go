package jobs

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/chatbackfill/chatbackfill/extract"
)

// overdueAfter is how late a slot may be before its job counts as overdue.
const overdueAfter = 5 * time.Minute

// health is what a daemon knows of a job.
type health struct {
	status  *JobStatus // when it was looked at last; nil: it was not yet
	trouble error      // why it could not be looked at
	held    bool       // a slot waits for another run to end
	running bool       // a slot is being run by this daemon
}

// problem returns why the job is not ready, or "". It says nothing that whoever
// can reach the port may not know.
func (h *health) problem(now time.Time) string {
	var p *extract.Panic
	switch s := h.status; {
	case errors.As(h.trouble, &p):
		return "looking after it panicked"
	case h.trouble != nil:
		return "its state store cannot be used"
	case s == nil:
		return "it was not looked at yet"
	case settled(s.failedExit) && s.failedExit != ExitDone:
		return fmt.Sprintf("its last run failed with exit code %d", s.failedExit)
	case h.running || h.held || s.State == JobRunning:
		return ""
	}
	if at := h.status.undone(); !at.IsZero() && now.Sub(at) > overdueAfter {
		return "it is overdue: its run of " + at.Format(time.RFC3339) + " is not done"
	}
	return ""
}

// undone returns the slot that is to be run: the last one if it is not done, else
// the next, which is to be looked at when it comes. The zero time is none.
func (s *JobStatus) undone() time.Time {
	switch {
	case s.Slot != nil && (s.Slot.State == slotWaiting || s.Slot.State == slotRunning):
		return s.Slot.At
	case s.NextSlot != nil:
		return *s.NextSlot
	}
	return time.Time{}
}

// Handler answers /healthz while the daemon lives, /readyz with 503 while a job
// is overdue or its last run failed for good, and /metrics for Prometheus.
func (s *Scheduler) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	return mux
}

// readyz answers with a line for each job.
func (s *Scheduler) readyz(w http.ResponseWriter, _ *http.Request) {
	status := http.StatusOK
	var lines strings.Builder
	for _, j := range s.jobs {
		j.mu.Lock()
		name, problem := j.spec.Name, j.health.problem(s.now())
		j.mu.Unlock()
		if problem == "" {
			problem = "ready"
		} else {
			status = http.StatusServiceUnavailable
		}
		fmt.Fprintf(&lines, "%s: %s\n", name, problem)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprint(w, lines.String())
}
