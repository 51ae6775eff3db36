package jobs

import (
	"context"
	"errors"
	"io"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// sampler is a source of which some conversations can be read whole, wherever
// they are.
type sampler interface {
	RowCount() int64
	// Sample reads the conversations of about so many rows.
	Sample(ctx context.Context, upper extract.Time, rows int) (Pages, error)
	// Only reads the conversations with these ids.
	Only(ctx context.Context, upper extract.Time, ids []string) (Pages, error)
}

func (p parquetSource) Sample(ctx context.Context, _ extract.Time, rows int) (Pages, error) {
	return p.Parquet.Sample(ctx, rows)
}

func (p parquetSource) Only(ctx context.Context, _ extract.Time, ids []string) (Pages, error) {
	return p.Parquet.Only(ctx, ids)
}

func (p *postgresSource) Sample(ctx context.Context, upper extract.Time, rows int) (Pages, error) {
	return p.whole(upper).Sample(ctx, rows)
}

func (p *postgresSource) Only(_ context.Context, upper extract.Time, ids []string) (Pages, error) {
	return p.whole(upper).Only(ids), nil
}

func (p *postgresSource) whole(upper extract.Time) *extract.PostgresPass {
	return p.Postgres.Pass(extract.Pass{Upper: upper, Full: true})
}

// statelessOptions are the options without what the state store has: customers
// whom somebody asked to forget are not suppressed, those of the job's list are.
func (e *Execution) statelessOptions(ctx context.Context, source Source) (options transform.Options, err error) {
	options = e.Spec.Options()
	if options.Directory, err = source.Directory(ctx); err != nil {
		return options, err
	}
	listed, err := loadSuppressed(e.Spec)
	options.Suppressed = func(id string) bool { return listed[subjectOf(id)] }
	return options, err
}

// maxSample is the size of a sample, in rows, that has what is looked for.
const maxSample = 1_000_000

// sampleOf reads whole conversations of a source until there are enough, and
// those rows of no conversation that it comes by. It begins with the
// conversations of so many rows, and takes ten times as many if that is not
// enough.
func sampleOf(ctx context.Context, source sampler, upper extract.Time, rows int, enough func(sample []extract.Transcript) bool) (sample []extract.Transcript, err error) {
	for size := rows; ; size *= 10 {
		pages, err := source.Sample(ctx, upper, size)
		if err != nil {
			return nil, err
		}
		sample, err = collect(ctx, pages, enough)
		all := source.RowCount()
		if err != nil || enough(sample) || size >= maxSample || all > 0 && int64(size) >= all {
			return sample, err
		}
	}
}

// collect reads transcripts as long as there are any and more are needed, and
// closes the pages.
func collect(ctx context.Context, pages Pages, enough func([]extract.Transcript) bool) (all []extract.Transcript, err error) {
	defer func() { err = errors.Join(err, pages.Close()) }()
	for {
		page, err := pages.Next(ctx)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		for i := range page.Transcripts {
			if all = append(all, page.Transcripts[i]); enough(all) {
				return all, nil
			}
		}
	}
}
