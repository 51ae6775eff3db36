package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// The kinds of alerts.
const (
	AlertFailure = "failure" // a run failed
	AlertRejects = "rejects" // there are open rejects
	AlertNoRows  = "no_rows" // runs have read no rows for too long
)

// The states that an alert tells of.
const (
	AlertFiring   = "firing"
	AlertResolved = "resolved"
)

// Alert is what is posted, as JSON, to the URLs of a job file's alerts when
// something begins to be wrong with a job, and when it is no longer.
type Alert struct {
	Text     string    `json:"text"`      // one line for a person; what chat systems show
	Job      string    `json:"job"`       // name of the job
	Label    string    `json:"label"`     // the Segment source, as the job file names it
	Kind     string    `json:"kind"`      // failure, rejects or no_rows
	Status   string    `json:"status"`    // firing or resolved
	Since    time.Time `json:"since"`     // when it began; of no_rows when rows were read last
	Time     time.Time `json:"time"`      // when the run ended that told
	Run      string    `json:"run"`       // that run's id; empty if it did not begin
	ExitCode int       `json:"exit_code"` // of that run
	Error    string    `json:"error"`     // of that run; empty: it succeeded
	Rows     int       `json:"rows"`      // that it read
	Events   int       `json:"events"`    // that it delivered
	Rejects  int       `json:"rejects"`   // open rejects of the job
}

// SendAlerts tells whoever is to be told what a run of a job changed: failures,
// recovery, rejects, rows that do not come. Each change is told once, whoever
// runs the job; what cannot be told is told after the next run. The errors name
// no URL.
func SendAlerts(ctx context.Context, log *slog.Logger, spec *Spec, s Summary, failure error) error {
	if spec.Alerts == (AlertsSpec{}) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, alertPatience)
	defer cancel()
	state, err := spec.State.Open(ctx)
	if err != nil {
		return fmt.Errorf("send alerts: %w", err)
	}
	job, err := state.Job(ctx, spec.Name, spec.Label())
	if err == nil {
		a := alerter{job: job, log: log, spec: spec.Alerts, run: alertOf(spec, s, failure)}
		err = a.all(ctx, s, failure)
	}
	return errors.Join(err, state.Close())
}

// alertOf returns what all alerts after a run have in common.
func alertOf(spec *Spec, s Summary, failure error) Alert {
	a := Alert{
		Job: spec.Name, Label: spec.Label(), Time: time.Now().UTC(), Run: s.RunID, ExitCode: ExitCode(failure),
		Rows: s.Tally.RowCount(), Rejects: s.Rejects,
	}
	if failure != nil {
		a.Error = failure.Error()
	}
	for _, n := range s.Sent {
		a.Events += n
	}
	return a
}

// alerter tells what changed with a run.
type alerter struct {
	job  *JobState
	log  *slog.Logger
	spec AlertsSpec
	run  Alert // what all alerts have in common
}

func (a *alerter) all(ctx context.Context, s Summary, failure error) error {
	var problems []error
	if failing, known := isFailing(s, failure); known {
		problems = append(problems, a.change(ctx, AlertFailure, failing, a.run.Time))
	}
	if s.RunID != "" {
		problems = append(problems, a.change(ctx, AlertRejects, s.Rejects > 0, a.run.Time))
	}
	if a.spec.NoRowsFor > 0 && s.RunID != "" {
		problems = append(problems, a.rows(ctx))
	}
	return errors.Join(problems...)
}

// isFailing reports whether a run failed. A run that was told to stop, that lost
// its lease or found it taken, or that did not begin says nothing of the job.
func isFailing(s Summary, failure error) (failing, known bool) {
	switch code := ExitCode(failure); {
	case failure == nil:
		return false, s.RunID != ""
	case code == ExitTakenOver, code == ExitLeaseHeld, errors.Is(failure, ErrInterrupted.Err), errors.Is(failure, context.Canceled):
		return false, false
	}
	return true, true
}

// rows tells when no rows have come for too long, and when they come again.
func (a *alerter) rows(ctx context.Context) error {
	if a.run.Rows > 0 {
		return a.change(ctx, AlertNoRows, false, a.run.Time)
	}
	at, err := a.job.alert(ctx, AlertNoRows, a.run.Time)
	if err != nil || a.run.Time.Sub(at.since) < a.spec.NoRowsFor {
		return err
	}
	return a.change(ctx, AlertNoRows, true, at.since)
}

// change records whether something is wrong since a time, and tells if that is
// new.
func (a *alerter) change(ctx context.Context, kind string, firing bool, since time.Time) error {
	was, err := a.job.alert(ctx, kind, since)
	if err != nil {
		return err
	}
	if was.firing == firing && kind != AlertNoRows {
		return nil
	}
	now := alertState{firing, since}
	ours, err := a.job.changeAlert(ctx, kind, was, now)
	if err != nil || !ours || was.firing == firing {
		return err
	}
	if err := a.tell(ctx, kind, firing, was, now); err != nil {
		_, undo := a.job.changeAlert(context.WithoutCancel(ctx), kind, now, was)
		return errors.Join(err, undo)
	}
	return nil
}

func (a *alerter) tell(ctx context.Context, kind string, firing bool, was, now alertState) error {
	alert, url := a.run, a.spec.url(kind, firing)
	alert.Kind, alert.Status, alert.Since = kind, AlertFiring, now.since
	if !firing {
		alert.Status, alert.Since = AlertResolved, was.since
	}
	alert.Text = alert.text()
	if url.IsZero() {
		return nil
	}
	if err := postAlert(ctx, url, alert); err != nil {
		return fmt.Errorf("send alert %s (%s) of job %s: %w", kind, alert.Status, alert.Job, err)
	}
	a.log.Info("alert sent", "kind", kind, "status", alert.Status)
	return nil
}

// url returns where a change is told; the zero Secret: nowhere.
func (s *AlertsSpec) url(kind string, firing bool) Secret {
	switch {
	case !firing:
		return s.OnRecovery
	case kind == AlertRejects:
		return s.OnRejects
	}
	return s.OnFailure
}

// text says the alert in one line.
func (a *Alert) text() string {
	switch a.Kind + " " + a.Status {
	case AlertFailure + " " + AlertFiring:
		return fmt.Sprintf("chatbackfill %s: failed with exit code %d: %s", a.Job, a.ExitCode, a.Error)
	case AlertFailure + " " + AlertResolved:
		return fmt.Sprintf("chatbackfill %s: works again, it had failed since %s", a.Job, a.Since.Format(time.RFC3339))
	case AlertRejects + " " + AlertFiring:
		return fmt.Sprintf("chatbackfill %s: %d open rejects, see chatbackfill rejects list", a.Job, a.Rejects)
	case AlertRejects + " " + AlertResolved:
		return fmt.Sprintf("chatbackfill %s: no open rejects any more", a.Job)
	case AlertNoRows + " " + AlertFiring:
		return fmt.Sprintf("chatbackfill %s: no rows since %s", a.Job, a.Since.Format(time.RFC3339))
	}
	return fmt.Sprintf("chatbackfill %s: rows come again", a.Job)
}
