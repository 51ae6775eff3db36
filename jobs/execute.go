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
	Limit     int           // rebuild at most so many conversations; 0: all
	Select    *Selection    // deliver only these, outside of the job's passes; nil: run the job

	Stop     <-chan struct{} // once closed, nothing further is begun
	Log      *slog.Logger
	Version  string         // of the program
	Progress func(Progress) // told now and then how far the run is; may be nil

	chunkEvents int // instead of the constants below, for tests
}

// Events that are sent and then checkpointed together, and how many such
// chunks are under way at once. A file takes them one after the other.
const (
	segmentChunk    = 5_000
	segmentInFlight = 4
	fileChunk       = 50_000
	fileInFlight    = 1
)

// Execute runs a job once. The summary is of what was done, also with an error;
// it has no RunID if the run did not begin.
func Execute(ctx context.Context, e Execution) (Summary, error) {
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
	leased, lease, err := e.acquire(ctx, job)
	if err != nil || lease == nil {
		return Summary{}, err
	}
	summary, err := e.withLease(leased, job, lease)
	return summary, errors.Join(err, lease.Release(context.WithoutCancel(ctx)))
}

// acquire takes the job's lease. Without an error it returns no lease if
// another run holds it and this one is to be skipped.
func (e *Execution) acquire(ctx context.Context, job *JobState) (context.Context, *Lease, error) {
	deadline := time.Now().Add(e.WaitFor)
	for {
		leased, lease, err := job.Acquire(ctx, "", e.Log)
		held := ExitCode(err) == ExitLeaseHeld
		switch {
		case held && e.IfRunning == IfRunningSkip:
			e.Log.Info("skipped: another run is under way", "job", job.Name, "holder", err.Error())
			return nil, nil, nil
		case held && e.IfRunning == IfRunningWait && time.Now().Before(deadline):
		default:
			return leased, lease, err
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

func (e *Execution) withLease(ctx context.Context, job *JobState, lease *Lease) (Summary, error) {
	at, err := job.Checkpoint(ctx, lease.shard)
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
	return r.Do(ctx, lease)
}

// newRun returns the run without its destination.
func (e *Execution) newRun(ctx context.Context, job *JobState) (*Run, error) {
	source, err := e.openSource(ctx)
	if err != nil {
		return nil, err
	}
	options, err := e.options(ctx, source)
	if err != nil {
		return nil, err
	}
	return &Run{
		Job: job, Source: parquetSource{source}, Options: options,
		ChunkEvents: segmentChunk, InFlight: segmentInFlight,
		NoLedger: !e.Spec.Ledger,
		Limits:   e.Spec.Rejects.Max, Full: e.Full, Limit: e.Limit, Select: e.Select,
		Stop: e.Stop, Log: e.Log, Version: e.Version, Progress: e.Progress,
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
	return r.Plan(ctx)
}

func (e *Execution) openSource(ctx context.Context) (*extract.Parquet, error) {
	p := e.Spec.Source.Parquet
	if p == nil {
		return nil, &Error{Exit: ExitUsage, Err: errors.New("source.postgres: this version reads Parquet files only"),
			Try: "export the tables to Parquet and use source.parquet"}
	}
	config := extract.ParquetConfig{
		Dir: e.Spec.Dir, Messages: p.Messages, Extra: e.Spec.ExtraFields(), Memory: int64(p.Memory), Tmp: p.Tmp,
		Now: time.Now, KeepPayload: e.Spec.Rejects.KeepPayload,
	}
	if p.Conversations != nil {
		config.Conversations = []extract.Set{*p.Conversations}
	}
	if p.Agents != nil {
		config.Agents = []extract.Set{*p.Agents}
	}
	return extract.OpenParquet(ctx, config)
}

func (e *Execution) options(ctx context.Context, source *extract.Parquet) (transform.Options, error) {
	options := e.Spec.Options()
	options.Final = e.Final
	var err error
	if options.Directory, err = source.Directory(ctx); err != nil {
		return options, err
	}
	options.Suppressed, err = loadSuppressed(e.Spec)
	return options, err
}

// openDestination gives the run its destination and returns what closes it.
func (e *Execution) openDestination(ctx context.Context, r *Run, lease *Lease, at Checkpoint) (func(), error) {
	if f := e.Spec.Destination.File; f != nil {
		r.ChunkEvents, r.InFlight = fileChunk, fileInFlight
		return e.openFile(r, e.Spec.Path(f.Path), at)
	}
	s := e.Spec.Destination.Segment
	endpoint := s.Endpoint
	if endpoint == "" {
		var err error
		if endpoint, err = load.EndpointFor(s.Region); err != nil {
			return nil, err
		}
	}
	segment, err := load.NewSegment(load.SegmentConfig{
		WriteKey: s.WriteKey.Reveal(), Endpoint: endpoint, Rate: s.Rate, RetryFor: s.RetryFor,
		Concurrency: segmentInFlight, Stop: e.Stop, Logger: e.Log,
		Permit: func() error { return lease.Permit(ctx) },
	})
	if err != nil {
		return nil, err
	}
	r.Destination = segment
	return segment.Close, nil
}

func (e *Execution) openFile(r *Run, path string, at Checkpoint) (func(), error) {
	if strings.HasSuffix(path, load.ParquetExtension) {
		folder, err := load.OpenParquet(path, at.Destination, e.Log)
		if err != nil {
			return nil, err
		}
		r.Destination = folder
		return folder.Close, nil
	}
	file, err := load.OpenFile(path, at.Destination, e.Log)
	if err != nil {
		return nil, err
	}
	r.Destination = file
	return file.Close, nil
}

// parquetSource is a Parquet export as a run reads it.
type parquetSource struct{ *extract.Parquet }

func (p parquetSource) Transcripts(ctx context.Context, from extract.Position) (Pages, error) {
	return p.Parquet.Transcripts(ctx, from)
}
