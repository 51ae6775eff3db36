package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"github.com/chatbackfill/chatbackfill/jobs"
)

// progress shows how far a run is: by a bar on a terminal, elsewhere by a log
// line every few seconds.
type progress struct {
	app *app

	mu     sync.Mutex
	bar    *progressbar.ProgressBar
	began  time.Time
	logged time.Time
}

const logEvery = 10 * time.Second

func (a *app) newProgress() *progress {
	return &progress{app: a, began: time.Now(), logged: time.Now()}
}

func (p *progress) show(now jobs.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.app.quiet:
	case isTerminal(p.app.err) && p.app.logFormat == "text":
		p.draw(now)
	case time.Since(p.logged) >= logEvery:
		p.logged = time.Now()
		p.app.log.Info("running", "rows", now.Rows, "of", now.Total, "events", now.Events,
			"events_per_second", int64(float64(now.Events)/time.Since(p.began).Seconds()))
	}
}

func (p *progress) draw(now jobs.Progress) {
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(max(now.Total, -1),
			progressbar.OptionSetWriter(p.app.err),
			progressbar.OptionSetWidth(24),
			progressbar.OptionShowCount(),
			progressbar.OptionSetItsString("rows"),
			progressbar.OptionShowIts(),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionEnableColorCodes(p.app.colorful(p.app.err)),
		)
	}
	p.bar.Describe(fmt.Sprintf("%s events", humanize.Comma(now.Events)))
	// A bar that cannot be drawn is no reason to stop the run.
	_ = p.bar.Set64(now.Rows)
}

// end takes the bar away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
