package jobs

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/chatbackfill/chatbackfill/transform"
)

// hook is somebody who is told of alerts.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	fail   []int // statuses to answer first
	tries  int
	alerts []Alert
}

func newHook(t *testing.T) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tries++
	if len(h.fail) > 0 {
		w.Header().Set("Location", h.URL+"/elsewhere")
		w.WriteHeader(h.fail[0])
		h.fail = h.fail[1:]
		return
	}
	var a Alert
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &a); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		a.Text = "a bad request"
	}
	h.alerts = append(h.alerts, a)
}

// told returns what the hook was told since it was asked last.
func (h *hook) told() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.alerts {
		all = append(all, a.Kind+" "+a.Status)
	}
	h.alerts = nil
	return all
}

// alerted is a job whose alerts go to one hook.
type alerted struct {
	*testing.T
	*hook
	spec *Spec
}

func newAlerted(t *testing.T) *alerted {
	h := newHook(t)
	url := NewSecret(h.URL + "/t0ken")
	return &alerted{t, h, &Spec{
		Name: "chats", State: StateRef{SQLite: filepath.Join(t.TempDir(), "state.db")}, Destination: DestinationSpec{File: &FileSpec{Source: "file"}},
		Alerts: AlertsSpec{OnFailure: url, OnRecovery: url, OnRejects: url, NoRowsFor: time.Hour},
	}}
}

// after sends the alerts after a run and checks what was told.
func (a *alerted) after(s Summary, failure error, want ...string) {
	a.Helper()
	if s.Tally.Rows == nil {
		s.Tally = transform.NewTally()
	}
	if err := SendAlerts(a.Context(), quiet, a.spec, s, failure); err != nil {
		a.Error(err)
	}
	if got := a.told(); !slices.Equal(got, want) {
		a.Errorf("told %q, want %q", got, want)
	}
}

func rowsRead(n int) transform.Tally {
	tally := transform.NewTally()
	tally.Rows[transform.Caused] = n
	return tally
}

var errRefusal = &Error{Exit: ExitRefused, Err: errors.New("wrong key")}

func TestAlertsOncePerChange(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	a := newAlerted(t)
	ran := Summary{RunID: "r", Tally: rowsRead(7)}
	a.after(ran, nil)
	a.after(Summary{RunID: "r"}, errRefusal, "failure firing")
	a.after(Summary{}, errRefusal)
	a.after(Summary{}, ErrInterrupted)
	a.after(Summary{}, heldError("chats", Holder{}))
	a.after(Summary{}, errFenced)
	a.after(Summary{}, nil)
	a.after(Summary{RunID: "r", Rejects: 3}, nil, "failure resolved", "rejects firing")
	a.after(Summary{RunID: "r", Rejects: 30}, nil)
	a.after(ran, nil, "rejects resolved")
	a.after(ran, nil)
	a.Close()
}

func TestAlertSays(t *testing.T) {
	began := time.Now()
	a := newAlerted(t)
	s := Summary{RunID: "r", Tally: rowsRead(7), Sent: map[transform.Name]int{transform.Started: 5}}
	if err := SendAlerts(t.Context(), quiet, a.spec, s, errRefusal); err != nil {
		t.Fatal(err)
	}
	want := []Alert{{
		Text: "chatbackfill chats: failed with exit code 4: wrong key", Job: "chats", Label: "file", Kind: "failure", Status: "firing",
		Run: "r", ExitCode: 4, Error: "wrong key", Rows: 7, Events: 5,
	}}
	if diff := cmp.Diff(want, a.alerts, cmpopts.IgnoreFields(Alert{}, "Since", "Time")); diff != "" {
		t.Errorf("alerts (-want +got)\n%s", diff)
	}
	if age := time.Since(a.alerts[0].Since); age < 0 || age > time.Since(began)+time.Second || a.alerts[0].Time.IsZero() {
		t.Errorf("since %v, at %v", a.alerts[0].Since, a.alerts[0].Time)
	}
}

// TestAlertsWhenNoRowsCome looks at what is decided; the times are the test's.
func TestAlertsWhenNoRowsCome(t *testing.T) {
	h := newAlerted(t)
	err := withJob(t.Context(), h.spec, func(j *JobState) error {
		for _, run := range []struct {
			at   time.Time
			rows int
			want []string
		}{
			{at(9, 0), 0, nil},
			{at(9, 59), 0, nil},
			{at(10, 0), 0, []string{"no_rows firing"}},
			{at(12, 0), 0, nil},
			{at(12, 5), 3, []string{"no_rows resolved"}},
			{at(12, 30), 1, nil},
			{at(13, 20), 0, nil},
			{at(13, 30), 0, []string{"no_rows firing"}},
		} {
			a := alerter{job: j, log: quiet, spec: h.spec.Alerts, run: Alert{Time: run.at, Rows: run.rows}}
			if err := a.rows(t.Context()); err != nil {
				return err
			}
			if got := h.told(); !slices.Equal(got, run.want) {
				t.Errorf("at %s told %q, want %q", run.at.Format("15:04"), got, run.want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAlertsTryAgain(t *testing.T) {
	a := newAlerted(t)
	a.fail = []int{503}
	a.after(Summary{}, errRefusal, "failure firing")
	if a.tries != 2 {
		t.Errorf("%d tries", a.tries)
	}
}

// TestAlertsErr: what could not be told is told after the next run, and no error
// shows where.
func TestAlertsErr(t *testing.T) {
	for name, status := range map[string]int{"a refusal": http.StatusForbidden, "a redirect": http.StatusTemporaryRedirect} {
		t.Run(name, func(t *testing.T) {
			a := newAlerted(t)
			a.fail = []int{status}
			err := SendAlerts(t.Context(), quiet, a.spec, Summary{}, errRefusal)
			if err == nil || strings.Contains(err.Error(), "t0ken") || !strings.Contains(err.Error(), http.StatusText(status)) {
				t.Errorf("error %v", err)
			}
			if a.tries != 1 {
				t.Errorf("%d requests", a.tries)
			}
			a.after(Summary{}, errRefusal, "failure firing")
		})
	}
}

func TestPostAlertErr(t *testing.T) {
	for name, test := range map[string]struct{ url, want string }{
		"http off the loopback": {"http://hooks.example.com/t0ken", "the URL must be https"},
		"no URL":                {"t0ken", "the URL cannot be read"},
		"bad escape":            {"https://h/%t0ken", "the URL cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := postAlert(t.Context(), NewSecret(test.url), Alert{}); err == nil || err.Error() != test.want {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// TestPostAlertErrNobody: it is tried for a bounded time. In the bubble nobody
// can be reached, and time passes by itself.
func TestPostAlertErrNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := postAlert(t.Context(), NewSecret("http://127.0.0.1:1/t0ken"), Alert{})
		if err == nil || strings.Contains(err.Error(), "t0ken") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took < time.Second || took > alertPatience {
			t.Errorf("it took %s", took)
		}
	})
}
