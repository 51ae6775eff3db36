package jobs

import (
	"context"
	"encoding/json"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Source yields the transcripts of whole conversations in the order of their
// positions.
type Source interface {
	// Version names the content of the source: as long as it stays the same
	// there is nothing new to read. Empty: the source cannot tell.
	Version() string
	// Mark is what the checkpoints of a pass that begins now record of the source,
	// for later runs to compare it with; empty: there is nothing.
	Mark() string
	// RowCount is the number of rows in the source, about; 0: it cannot tell.
	RowCount() int64
	// Files are the files that the source consists of; none if it is a database.
	Files() []extract.File
	// Directory is the directory of agents, by their ids.
	Directory(ctx context.Context) (map[string]extract.DirectoryAgent, error)
	// Bound is the time up to which a pass that begins now may read.
	Bound(ctx context.Context) (extract.Time, error)
	// NextLower is the lower bound of the pass after one between two bounds; 0:
	// it reads everything.
	NextLower(lower, upper extract.Time) extract.Time
	// Pass is the source as it is read in a pass.
	Pass(p extract.Pass) SourcePass
	Close()
}

// isDatabase reports whether a source is no files.
func isDatabase(s Source) bool { return len(s.Files()) == 0 }

// SourcePass is a source as it is read in one pass.
type SourcePass interface {
	// Transcripts reads what comes after a position.
	Transcripts(ctx context.Context, from extract.Position) (Pages, error)
	// Files are the source's files, with what is known of their rows once all
	// transcripts have been read.
	Files() []extract.File
	// After returns the position after a conversation.
	After(conversationID string) extract.Position
}

// Pages are transcripts, some at a time. Next returns io.EOF after the last.
type Pages interface {
	Next(ctx context.Context) (extract.Page, error)
	Close() error
}

func (e *Execution) openSource(ctx context.Context) (Source, error) {
	if e.Spec.Source.Postgres != nil {
		return e.openPostgres(ctx)
	}
	return e.openParquet(ctx)
}

// sets returns a set as a list, which is empty if there is none.
func sets(s *extract.Set) []extract.Set {
	if s == nil {
		return nil
	}
	return []extract.Set{*s}
}

func lookups(spec *SetsSpec) map[string]extract.Lookup {
	found := make(map[string]extract.Lookup, len(spec.Lookups))
	for name, l := range spec.Lookups {
		found[name] = extract.Lookup{Set: l.Set, Key: l.Key}
	}
	return found
}

func (e *Execution) openParquet(ctx context.Context) (Source, error) {
	p := e.Spec.Source.Parquet
	source, err := extract.OpenParquet(ctx, extract.ParquetConfig{
		Dir: e.Spec.Dir, Messages: p.Messages, Conversations: sets(p.Conversations), Agents: sets(p.Agents),
		Lookups: lookups(&p.SetsSpec), Extra: e.Spec.ExtraFields(), Lookback: p.Lookback, Memory: int64(p.Memory), Tmp: p.Tmp,
		Now: time.Now, KeepPayload: e.Spec.Rejects.KeepPayload, Known: e.known, Log: e.Log,
	})
	return parquetSource{source}, err
}

// parquetSource is a Parquet export as a run reads it: after the first pass only
// the conversations in files that are new or have changed, and those that are due.
type parquetSource struct{ *extract.Parquet }

func (p parquetSource) Mark() string { return p.Version() }

func (p parquetSource) Bound(context.Context) (extract.Time, error) { return p.Horizon(), nil }

func (p parquetSource) NextLower(extract.Time, extract.Time) extract.Time { return 0 }

func (p parquetSource) Pass(pass extract.Pass) SourcePass { return parquetPass{p.Parquet.Pass(pass)} }

type parquetPass struct{ *extract.ParquetPass }

func (p parquetPass) Transcripts(ctx context.Context, from extract.Position) (Pages, error) {
	return p.ParquetPass.Transcripts(ctx, from)
}

func (p parquetSource) Close() {
	// Everything has been read: what closing could still tell changes nothing.
	_ = p.Parquet.Close()
}

func (e *Execution) openPostgres(ctx context.Context) (Source, error) {
	p := e.Spec.Source.Postgres
	source, err := extract.OpenPostgres(ctx, extract.PostgresConfig{
		DSN: p.DSN.Reveal(), Messages: p.Messages, Conversations: sets(p.Conversations), Agents: sets(p.Agents),
		Lookups: lookups(&p.SetsSpec), Extra: e.Spec.ExtraFields(), Settle: p.Settle, Overlap: p.Overlap, Page: p.Page, Memory: int64(p.Memory),
		Now: time.Now, KeepPayload: e.Spec.Rejects.KeepPayload, AllowSlow: e.AllowSlow, Log: e.Log,
	})
	return &postgresSource{Postgres: source, overlap: p.Overlap}, err
}

// postgresSource is a Postgres database as a run reads it: after the first pass
// only the conversations that have changed, and those that are due.
type postgresSource struct {
	*extract.Postgres
	overlap time.Duration
	mark    extract.PostgresMark // once it was checked
}

func (p *postgresSource) Version() string { return "" }

func (p *postgresSource) Mark() string {
	text, _ := json.Marshal(p.mark) // of texts and numbers: never fails
	return string(text)
}

func (p *postgresSource) Files() []extract.File { return nil }

func (p *postgresSource) Bound(ctx context.Context) (extract.Time, error) {
	bound, err := p.Postgres.Bound(ctx)
	return bound.Upper, err
}

func (p *postgresSource) NextLower(lower, upper extract.Time) extract.Time {
	return extract.NextLower(lower, upper, p.overlap)
}

func (p *postgresSource) Pass(pass extract.Pass) SourcePass {
	return postgresPass{p.Postgres.Pass(pass)}
}

type postgresPass struct{ *extract.PostgresPass }

func (p postgresPass) Transcripts(ctx context.Context, from extract.Position) (Pages, error) {
	if _, err := p.Explain(ctx); err != nil {
		return nil, err
	}
	return p.PostgresPass.Transcripts(ctx, from)
}

func (p postgresPass) Files() []extract.File { return nil }
