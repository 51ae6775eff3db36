package jobs

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
	"github.com/chatbackfill/chatbackfill/transform"
)

// What to do when another run of the job is under way.
const (
	IfRunningFail = "fail"
	IfRunningWait = "wait"
	IfRunningSkip = "skip"
)

// Execution is how a job is to be run.
type Execution struct {
	Spec      *Spec
	IfRunning string        // one of the IfRunning constants; empty is IfRunningFail
	WaitFor   time.Duration // how long IfRunningWait waits
	Final     bool          // expect no later rows
	Full      bool          // read everything again
	AllowSlow bool          // read from Postgres also where an index is missing
	Limit     int           // rebuild at most so many conversations; 0: all
	Resend    Resend        // send again what was delivered
	Revision  int           // under new ids, of this revision; 0: under the ids it has
	Shard     extract.Shard // read only this part of the source
	Select    *Selection    // deliver only these, outside of the job's passes; nil: run the job

	Stop     <-chan struct{} // once closed, nothing further is begun
	Log      *slog.Logger
	Version  string         // of the program
	Progress func(Progress) // told now and then how far the run is; may be nil
	Observer Observer       // told what the run does; may be nil
	Report   *Report        // told of what is delivered; may be nil

	slot        *slotRun       // the slot that the run is for; nil: none
	chunkEvents int            // instead of the constants below, for tests
	known       []extract.File // that the job has read before
}

// Events that are sent and then checkpointed together, and how many such
// chunks are under way at once. In a folder of Parquet files each is a file,
// which should not be small.
const (
	chunkEvents    = 5_000
	chunksInFlight = 4
	partEvents     = 50_000
	partsInFlight  = 1
)

// Execute runs a job once. The summary is of what was done, also with an error;
// it has no RunID if the run did not begin.
func Execute(ctx context.Context, e Execution) (Summary, error) {
	if e.Observer == nil {
		e.Observer = unobserved{}
	}
	summary, err := e.openState(ctx)
	e.Observer.Done(summary, err)
	return summary, err
}

func (e *Execution) openState(ctx context.Context) (Summary, error) {
	state, err := e.Spec.State.Open(ctx)
	if err != nil {
		return Summary{}, err
	}
	summary, err := e.withState(ctx, state)
	return summary, errors.Join(err, state.Close())
}

func (e *Execution) withState(ctx context.Context, state *State) (Summary, error) {
	job, err := state.Job(ctx, e.Spec.Name, e.Spec.Label())
	if err != nil {
		return Summary{}, err
	}
	job.ReadsByID = e.Spec.Source.Postgres != nil
	leased, lease, err := e.acquire(ctx, job)
	if err != nil || lease == nil {
		return Summary{}, err
	}
	summary, err := e.attend(leased, lease, func() (Summary, error) { return e.withLease(leased, job, lease) })
	return summary, errors.Join(err, lease.Release(context.WithoutCancel(ctx)))
}

// acquire takes the lease of the job's shard. Without an error it returns no
// lease if another run holds it and this one is to be skipped.
func (e *Execution) acquire(ctx context.Context, job *JobState) (context.Context, *Lease, error) {
	deadline := time.Now().Add(e.WaitFor)
	var first Holder
	for {
		leased, lease, err := e.tryAcquire(ctx, job)
		if ExitCode(err) != ExitLeaseHeld || e.IfRunning == IfRunningFail || e.IfRunning == "" {
			return leased, lease, err
		}
		if e.IfRunning == IfRunningWait && time.Now().After(deadline) {
			return nil, nil, err
		}
		if e.IfRunning == IfRunningSkip {
			alive, err := e.holderLives(ctx, job, &first)
			if err != nil || alive {
				return nil, nil, err
			}
		}
		select {
		case <-e.Stop:
			return nil, nil, ErrInterrupted
		case <-ctx.Done():
			return nil, nil, ErrInterrupted
		case <-time.After(time.Second):
		}
	}
}

func (e *Execution) tryAcquire(ctx context.Context, job *JobState) (context.Context, *Lease, error) {
	return job.acquireIn(ctx, e.Shard, e.Log)
}

// holderLives reports whether the lease was renewed since it was first looked
// at. One that was left behind by a process that was killed is not, and runs
// out: to skip the run for its sake would make an interrupted run look finished.
func (e *Execution) holderLives(ctx context.Context, job *JobState, first *Holder) (bool, error) {
	now, err := job.holder(ctx, shardKey(e.Shard))
	if err != nil {
		return false, err
	}
	if first.Expires.IsZero() {
		*first = now
	}
	if !now.Expires.After(first.Expires) {
		return false, nil
	}
	e.Log.Info("skipped: another run is under way", "job", job.Name, "host", now.Host, "pid", now.PID, "since", now.Since)
	return true, nil
}

func (e *Execution) withLease(ctx context.Context, job *JobState, lease *Lease) (Summary, error) {
	at, err := job.inherit(ctx, e.Shard)
	if err != nil {
		return Summary{}, err
	}
	if err := job.checkSettings(ctx, e.Spec, at); err != nil {
		return Summary{}, err
	}
	r, err := e.newRun(ctx, job)
	if err != nil {
		return Summary{}, classify(err)
	}
	defer r.Source.Close()
	if err := e.checkDatabase(ctx, job, r.Source); err != nil {
		return Summary{}, classify(err)
	}
	closeDestination, err := e.openDestination(ctx, r, lease, at)
	if err != nil {
		return Summary{}, classify(err)
	}
	defer closeDestination()
	if err := job.setSettings(ctx, e.Spec); err != nil {
		return Summary{}, err
	}
	if e.chunkEvents > 0 {
		r.ChunkEvents = e.chunkEvents
	}
	return r.published(r.Do(ctx, lease))
}

// newRun returns the run without its destination. Whoever calls it closes its
// source.
func (e *Execution) newRun(ctx context.Context, job *JobState) (*Run, error) {
	if e.Select != nil && !e.Spec.Ledger {
		return nil, errNoParts
	}
	var err error
	if e.Spec.Source.Parquet != nil && !e.Full {
		if e.known, err = job.known(ctx, e.Shard); err != nil {
			return nil, err
		}
	}
	source, err := e.openSource(ctx)
	if err != nil {
		return nil, err
	}
	options, err := e.options(ctx, job, source)
	if err != nil {
		source.Close()
		return nil, err
	}
	return &Run{
		Job: job, Source: source, Options: options,
		ChunkEvents: chunkEvents, InFlight: chunksInFlight,
		NoLedger: !e.Spec.Ledger,
		Limits:   e.Spec.Rejects.Max, Full: e.Full, Limit: e.Limit, Resend: e.Resend, Revision: e.Revision, Shard: e.Shard, Select: e.Select,
		Stop: e.Stop, Log: e.Log, Version: e.Version, Progress: e.Progress, Observer: e.Observer, Report: e.Report,
	}, nil
}

// ExecutePlan returns what Execute would do. It sends nothing, takes no lease
// and changes no state.
func ExecutePlan(ctx context.Context, e Execution) (Plan, error) {
	state, err := e.Spec.State.OpenExisting(ctx)
	if err != nil {
		return Plan{}, err
	}
	plan, err := e.plan(ctx, state)
	return plan, errors.Join(err, state.Close())
}

func (e *Execution) plan(ctx context.Context, state *State) (Plan, error) {
	job, err := state.FindJob(ctx, e.Spec.Name, e.Spec.Label())
	if err != nil {
		return Plan{}, err
	}
	r, err := e.newRun(ctx, job)
	if err != nil {
		return Plan{}, classify(err)
	}
	defer r.Source.Close()
	if err := e.checkDatabase(ctx, job, r.Source); err != nil {
		return Plan{}, classify(err)
	}
	return r.Plan(ctx, e.rate())
}

// rate is this run's share of the job's events a second; 0 if it has no limit.
func (e *Execution) rate() float64 {
	if s := e.Spec.Destination.Segment; s != nil {
		return s.Rate / float64(max(e.Shard.Of, 1))
	}
	return 0
}

func (e *Execution) options(ctx context.Context, job *JobState, source Source) (transform.Options, error) {
	options := e.Spec.Options()
	options.Final = e.Final
	var err error
	if options.Directory, err = source.Directory(ctx); err != nil {
		return options, err
	}
	options.Suppressed, err = job.suppressed(ctx, e.Spec)
	return options, err
}

// openDestination gives the run its destination and returns what closes it.
func (e *Execution) openDestination(ctx context.Context, r *Run, lease *Lease, at Checkpoint) (func(), error) {
	if f := e.Spec.Destination.File; f != nil {
		if strings.HasSuffix(f.Path, load.ParquetExtension) {
			r.ChunkEvents, r.InFlight = partEvents, partsInFlight
		}
		path, err := shardPath(e.Spec.Path(f.Path), e.Shard)
		if err != nil {
			return nil, err
		}
		return openFile(r, path, load.Continuation{
			State: at.Destination, Logger: e.Log,
			Permit: func() error { return lease.renew(ctx) },
		})
	}
	s := e.Spec.Destination.Segment
	endpoint, err := s.endpoint()
	if err != nil {
		return nil, err
	}
	segment, err := load.NewSegment(load.SegmentConfig{
		WriteKey: s.WriteKey.Reveal(), Endpoint: endpoint, Rate: e.rate(), RetryFor: s.RetryFor,
		Concurrency: chunksInFlight, Stop: e.Stop, Logger: e.Log,
		Permit:  func() error { return e.permit(ctx, lease) },
		Observe: e.Observer.Batch,
	})
	if err != nil {
		return nil, err
	}
	r.Destination = segment
	return segment.Close, nil
}

// endpoint is the base URL of the API that events are sent to.
func (s *SegmentSpec) endpoint() (string, error) {
	if s.Endpoint != "" {
		return s.Endpoint, nil
	}
	return load.EndpointFor(s.Region)
}

func openFile(r *Run, path string, c load.Continuation) (func(), error) {
	if strings.HasSuffix(path, load.ParquetExtension) {
		folder, err := load.OpenParquet(path, c)
		if err != nil {
			return nil, err
		}
		r.Destination = folder
		return folder.Close, nil
	}
	file, err := load.OpenFile(path, c)
	if err != nil {
		return nil, err
	}
	r.Destination = file
	return file.Close, nil
}
