package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/chatbackfill/chatbackfill/jobs"
)

// checkReport tells before a run what would keep its report from being written.
func checkReport(path string, dry bool) error {
	if path == "" {
		return nil
	}
	if dry {
		return usageError(errors.New("--report and --dry-run: the report is about what was delivered, and a dry run delivers nothing"), "one of the two")
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return usageError(fmt.Errorf("--report %s: it is a folder", path), "--report "+filepath.Join(path, "report.html"))
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return usageError(fmt.Errorf("--report %s: there is no folder %s", path, filepath.Dir(path)), "mkdir -p "+filepath.Dir(path))
	}
	return nil
}

// runWithReport runs a job and writes a report about it. A run that did not
// begin has none.
func (a *app) runWithReport(ctx context.Context, e jobs.Execution, path string) error {
	e.Report = jobs.NewReport()
	summary, err := a.execute(ctx, e)
	if summary.RunID == "" {
		return err
	}
	return errors.Join(err, a.writeReport(path, e, summary, err))
}

// writeReport writes the report of a run that ended, with or without an error.
// Nobody ever sees half of it: it takes its name when it is complete.
func (a *app) writeReport(path string, e jobs.Execution, s jobs.Summary, failure error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	err = errors.Join(e.Report.WriteHTML(f, e.Spec, s, failure, time.Now()), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write report: %w", err), os.Remove(f.Name()))
	}
	a.log.Info("report written", "file", path)
	return nil
}
