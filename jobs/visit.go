package jobs

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/chatbackfill/chatbackfill/extract"
)

// visit reads the selected conversations, wherever they are. What is delivered
// enters the ledger; the position of the job's pass stays where it is.
func (r *Run) visit(ctx context.Context, at Checkpoint) error {
	pipe := r.pipeline(at)
	pipe.still, pipe.resending = true, r.Resend != ResendNothing
	if err := r.revise(ctx); err != nil {
		return err
	}
	if err := r.miss(ctx); err != nil {
		return err
	}
	from, err := r.fromStart(ctx)
	if err != nil {
		return err
	}
	p, err := r.newPass(pipe, from)
	if err != nil {
		return err
	}
	if err := pipe.begin(ctx, nil); err != nil {
		return err
	}
	if err := errors.Join(p.read(ctx, from.Position), pipe.wait(ctx)); err != nil {
		return err
	}
	if err := p.missing(); err != nil || r.Select.Retry == nil || !p.settles() {
		return err
	}
	// A database is asked for conversations, and cannot be for the rows of none.
	return r.lease.closeRetried(context.WithoutCancel(ctx), r.Select.Retry, r.id, !isDatabase(r.Source))
}

// miss notes whether files are gone that the job has read, or begun to read,
// in any shard.
func (r *Run) miss(ctx context.Context) error {
	recorded, err := r.Job.files(ctx)
	var had []extract.File
	for _, passes := range recorded {
		for _, files := range passes {
			had = append(had, files...)
		}
	}
	r.lacking = r.tellVanished(had)
	return err
}

// missing returns an error if conversations were selected that the source, now
// read to its end, does not have.
func (p *pass) missing() error {
	if p.limited() || len(p.unseen) == 0 || p.Select == nil || p.Select.Retry != nil {
		return nil
	}
	return errNoConversation(slices.Sorted(maps.Keys(p.unseen)))
}
