package jobs

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
	"github.com/chatbackfill/chatbackfill/transform"
)

// Run is one execution of a job. Its exported fields are set by whoever runs it
// and not changed afterwards.
type Run struct {
	Job         *JobState
	Source      Source
	Destination Destination
	Options     transform.Options
	Limits      RejectsMax
	NoLedger    bool          // keep only the position: one pass, ever
	Full        bool          // read everything again
	Limit       int           // rebuild at most so many conversations; 0: all
	Resend      Resend        // send again what was delivered
	Revision    int           // under new ids, of this revision; 0: under the ids it has
	Shard       extract.Shard // read only this part of the source
	Select      *Selection    // deliver only these, outside of the job's passes; nil: run the job

	ChunkEvents int             // at most so many events are sent and then checkpointed together
	InFlight    int             // so many chunks at once
	Stop        <-chan struct{} // once closed nothing further is read
	Log         *slog.Logger
	Version     string         // of the program
	Progress    func(Progress) // told now and then how far the run is; may be nil
	Observer    Observer       // may be nil
	Report      *Report        // told of what is delivered; may be nil

	lease       *Lease
	id          string
	files       manifest
	lacking     bool                            // files are gone, and the job will not take note of it: it is no pass
	ledgerEmpty bool                            // nothing was ever delivered: no need to look
	due         map[string]extract.Time         // notes at the run's start
	overdue     extract.Time                    // notes up to here were due in the pass before already; 0: none was, or it is not known
	rejected    map[string]bool                 // conversations with open rejects at the run's start
	settled     map[rejectKey]bool              // rejects that somebody accepted or dropped
	unsendable  map[transform.ID]extract.Reason // events that were refused, and nobody said to retry
	rowsRead    int64

	mu          sync.Mutex
	summary     Summary
	publishedAt time.Time
}

// Progress is how far a run is.
type Progress struct {
	Rows   int64 // rows whose conversations were rebuilt
	Total  int64 // rows of the source that are the run's, about; 0 if it cannot tell
	Events int64 // events accepted
}

// Summary is what a run did.
type Summary struct {
	RunID   string
	Started time.Time
	Took    time.Duration
	Resumed bool                   // the run continued a pass that was interrupted
	Nothing bool                   // the source has nothing new, nothing was read
	More    bool                   // the run's limit was reached: the next run goes on
	Tally   transform.Tally        // what became of the rows read and the events derived
	Sent    map[transform.Name]int // events accepted, by name
	Due     int                    // conversations to be looked at again
	NextDue time.Time              // when the first of them is due
	Rejects int                    // open rejects, those of earlier runs included
	Oldest  time.Time              // of the events accepted
	Newest  time.Time
}

// Do runs the job: it ends a pass that was interrupted, then starts the next.
// The summary is that of what was done, also when there is an error.
func (r *Run) Do(ctx context.Context, lease *Lease) (Summary, error) {
	r.lease = lease
	r.summary = Summary{RunID: rand.Text(), Started: time.Now(), Tally: transform.NewTally(), Sent: make(map[transform.Name]int)}
	r.id = r.summary.RunID
	if err := r.Job.beginRun(ctx, r); err != nil {
		return r.summary, err
	}
	err := r.takeBack(ctx, r.passes(ctx))
	if err == nil {
		err = r.balance()
	}
	err = classify(err)
	r.summary.Took = time.Since(r.summary.Started)
	// What the run did is recorded even when it was told to stop.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return r.summary, errors.Join(err, r.conclude(ending), r.Job.endRun(ending, r, err))
}

// passes ends the interrupted pass, if there is one, and sweeps once more
// unless the source has not changed since that began.
func (r *Run) passes(ctx context.Context) error {
	if err := r.recall(ctx); err != nil {
		return err
	}
	at, err := r.Job.inherit(ctx, r.Shard)
	if err != nil {
		return err
	}
	if r.Select != nil {
		return r.visit(ctx, at)
	}
	if err := r.Limits.check(&at.Tally); err != nil {
		return err
	}
	if at.Pass > 0 && !at.Done {
		if at, err = r.resume(ctx, at); err != nil {
			return err
		}
		if at, err = r.sweep(ctx, at); err != nil || !at.Done {
			r.summary.More = err == nil
			return err
		}
		// The next pass has to know what it delivered, noted and rejected.
		if err := r.recall(ctx); err != nil {
			return err
		}
	}
	if r.NoLedger && (at.Pass > 0 || at.Done) { // done in another division, if not in this one
		return r.onlyOnce()
	}
	if at.Pass > 0 && !r.isNew(at) {
		r.summary.Nothing = !r.summary.Resumed
		return nil
	}
	next, err := r.nextPass(ctx, at)
	if err != nil {
		return err
	}
	r.tellVanished(r.files.known)
	at, err = r.sweep(ctx, next)
	r.summary.More = err == nil && !at.Done
	return err
}

// resume is the checkpoint from which a pass that was interrupted goes on. What
// it can no longer read of the files that it began with is for the next pass.
func (r *Run) resume(ctx context.Context, at Checkpoint) (_ Checkpoint, err error) {
	if now := r.Source.Version(); r.NoLedger && now != "" && now != at.Source {
		return at, r.otherFiles()
	}
	r.summary.Resumed = true
	at.Tally.Halted = nil
	if r.files, err = r.Job.manifest(ctx, r.Shard, at.Pass); err != nil {
		return at, err
	}
	r.tellVanished(r.files.begun)
	if r.files.lose(r.Source.Files()) {
		at.Source = ""
	}
	return at, nil
}

// otherFiles ends a run of a job without a ledger whose only pass cannot go on:
// it is known up to where conversations were delivered, not which of their rows.
func (r *Run) otherFiles() error {
	return &Error{
		Exit: ExitDiffers,
		Err:  fmt.Errorf("the files are not those that the pass of job %s began with, and without a ledger nobody knows what of the others was delivered", r.Job.Name),
		Try:  "put the files back as they were, and those that are new elsewhere; or chatbackfill reset, which sends everything again",
	}
}

// tellVanished reports whether any of the files is gone.
func (r *Run) tellVanished(files []extract.File) bool {
	gone := vanished(files, r.Source.Files())
	for _, path := range gone {
		r.Log.Warn("a file that was read before is gone; its conversations stay as they were delivered", "file", path)
	}
	return len(gone) > 0
}

// nextPass is the checkpoint of the pass after one that is done.
func (r *Run) nextPass(ctx context.Context, last Checkpoint) (Checkpoint, error) {
	next, err := r.fromStart(ctx)
	if err != nil {
		return next, err
	}
	next.Pass, next.Source, next.Destination = last.Pass+1, r.Source.Mark(), last.Destination
	if r.files, err = r.Job.manifest(ctx, r.Shard, next.Pass); err != nil {
		return next, err
	}
	r.files.begun, r.files.fresh = r.Source.Files(), true
	if r.Full {
		r.files.known = nil
	} else {
		next.Lower = r.Source.NextLower(last.Lower, last.Upper)
	}
	r.overdue = cmp.Or(next.Lower, last.Upper)
	return next, nil
}

// isNew reports whether there is anything to read that the last pass has not
// read, or not with these options.
func (r *Run) isNew(last Checkpoint) bool {
	unchanged := last.Source != "" && last.Source == r.Source.Version()
	return !unchanged || r.Full || r.Options.Final && len(r.due) > 0 || r.isDue(last.Upper)
}

// isDue reports whether there is a note of a time that has been reached.
func (r *Run) isDue(reached extract.Time) bool {
	for conversation, at := range r.due {
		if at <= reached && r.Shard.Has(conversation) {
			return true
		}
	}
	return false
}

// onlyOnce ends a run of a job without a ledger whose only pass is done.
func (r *Run) onlyOnce() error {
	if r.summary.Resumed {
		return nil
	}
	return &Error{
		Exit: ExitUsage,
		Err:  fmt.Errorf("job %s has run to its end, and without a ledger nobody knows what was delivered: a further run would send everything again", r.Job.Name),
		Try:  "another name for a job that sends everything again; for runs that send what is new, ledger: on from the first run",
	}
}

// recall reads what earlier runs left to be minded.
func (r *Run) recall(ctx context.Context) (err error) {
	if r.ledgerEmpty, err = r.Job.LedgerEmpty(ctx); err != nil {
		return err
	}
	r.ledgerEmpty = r.ledgerEmpty || r.NoLedger
	if r.due, err = r.Job.Due(ctx); err != nil {
		return err
	}
	stored, err := r.Job.Rejects(ctx, "")
	if err != nil {
		return err
	}
	r.rejected, r.settled = make(map[string]bool), make(map[rejectKey]bool)
	r.unsendable = make(map[transform.ID]extract.Reason)
	for _, reject := range stored {
		if id, ok := transform.ParseID(reject.Locator); ok && reject.Stage == extract.StageSend && reject.State != RejectClosed && !r.Select.retries(reject.ID) {
			r.unsendable[id] = reject.Reason
		}
		switch reject.State {
		case RejectOpen:
			r.rejected[reject.ConversationID] = true
		case RejectAccepted, RejectDropped:
			r.settled[rejectKeyOf(&reject.Reject)] = true
		}
	}
	return nil
}

// count adds a chunk that was sent to the summary.
func (r *Run) count(s *sent, whole bool) {
	if r.Report != nil {
		r.Report.Add(s.events, s.outcomes)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.accept(&s.accepted)
	if whole {
		r.summary.Tally.Add(s.tally.Tally)
	}
	r.report()
}

// accept adds events that were accepted.
func (s *Summary) accept(a *acceptance) {
	for _, name := range transform.Names {
		if a.events[name] > 0 {
			s.Sent[name] += a.events[name]
		}
	}
	if a.oldest == 0 {
		return
	}
	if at := a.oldest.Time(); s.Oldest.IsZero() || at.Before(s.Oldest) {
		s.Oldest = at
	}
	if at := a.newest.Time(); at.After(s.Newest) {
		s.Newest = at
	}
}

// countRows counts rows whose conversations were rebuilt.
func (r *Run) countRows(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rowsRead += n
	r.report()
}

// report tells how far the run is. The lock is held.
func (r *Run) report() {
	if r.Progress == nil {
		return
	}
	events := 0
	for _, n := range r.summary.Sent {
		events += n
	}
	r.Progress(Progress{Rows: r.rowsRead, Total: r.sourceRows(), Events: int64(events)})
}

// sourceRows is about how many rows of the source are the run's; 0: unknown.
func (r *Run) sourceRows() int64 { return r.Source.RowCount() / int64(max(r.Shard.Of, 1)) }

// conclude completes the summary with what is left to do.
func (r *Run) conclude(ctx context.Context) error {
	due, err := r.Job.Due(ctx)
	if err != nil {
		return err
	}
	r.summary.Due = len(due)
	for _, at := range due {
		if t := at.Time(); r.summary.NextDue.IsZero() || t.Before(r.summary.NextDue) {
			r.summary.NextDue = t
		}
	}
	open, err := r.Job.Rejects(ctx, RejectOpen)
	r.summary.Rejects = len(open)
	return err
}

// takeBack removes the rejects of events that were refused before it turned out
// that everything is, so that the next run sends these events. Without a ledger
// they stay: nobody could look at a part of the source. It returns the run's
// error.
func (r *Run) takeBack(ctx context.Context, failure error) error {
	var refused *load.Refused
	if !errors.As(failure, &refused) || len(refused.IDs) == 0 || r.NoLedger {
		return failure
	}
	ctx = context.WithoutCancel(ctx)
	at, err := r.Job.Checkpoint(ctx, r.lease.shard)
	if err != nil {
		return errors.Join(failure, err)
	}
	since := refused.Since
	if at.Upper != 0 && (since > at.Upper || isDatabase(r.Source)) {
		since = at.Upper // by which the next run looks at it; files of before need not be read
	}
	return errors.Join(failure, r.lease.takeBack(ctx, refused.IDs, since, r.Select))
}

// balance checks that every row read has its outcome.
func (r *Run) balance() error {
	if rows := int64(r.summary.Tally.RowCount()); rows != r.rowsRead {
		return fmt.Errorf("check the outcomes: %d rows were read, %d have an outcome", r.rowsRead, rows)
	}
	return nil
}
