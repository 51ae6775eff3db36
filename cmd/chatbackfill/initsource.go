package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/jobs"
)

// jobSource is where a new job reads from.
type jobSource struct {
	flags   *newJobFlags
	dir     string // of the job file
	dsn     string
	columns []string
}

func (a *app) newJobSource(ctx context.Context, n *newJobFlags, asker *asker) (*jobSource, error) {
	dir, err := filepath.Abs(filepath.Dir(n.out))
	if err != nil {
		return nil, err
	}
	s := &jobSource{flags: n, dir: dir, dsn: n.postgres}
	if n.postgres == "" || n.table != "" {
		return s, nil
	}
	tables, err := extract.PostgresTables(ctx, extract.PostgresConfig{DSN: s.dsn, Log: a.log})
	if err != nil {
		return nil, jobs.Classify(err)
	}
	likeliest, _ := extract.ProposeTable(tables)
	var names []string
	for _, t := range tables {
		names = append(names, t.Name)
	}
	if n.table = asker.table(names, likeliest); n.table == "" {
		return nil, usageError(fmt.Errorf("no table looks like one of messages; there are %s", strings.Join(names[:min(len(names), 20)], ", ")), "--table NAME")
	}
	return s, nil
}

func (s *jobSource) name() string {
	if s.flags.table != "" {
		return s.flags.table[strings.LastIndexByte(s.flags.table, '.')+1:]
	}
	first := strings.TrimRight(filepath.ToSlash(s.flags.parquet[0]), "/*?")
	base := filepath.Base(first)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// setOf is a set of tables or files, which are named from the working directory
// on the command line, and from the job file's in it.
func (s *jobSource) setOf(places []string) (extract.Set, error) {
	if s.dsn != "" {
		return extract.Set{Table: places[0]}, nil
	}
	set := extract.Set{}
	for _, place := range places {
		if !strings.Contains(place, "://") && !filepath.IsAbs(place) {
			abs, err := filepath.Abs(place)
			if err != nil {
				return set, err
			}
			if place, err = filepath.Rel(s.dir, abs); err != nil {
				return set, err
			}
		}
		set.Files = append(set.Files, filepath.ToSlash(place))
	}
	return set, nil
}

func (s *jobSource) inspect(ctx context.Context, set extract.Set) (t *extract.Table, err error) {
	if s.dsn != "" {
		t, err = extract.InspectPostgres(ctx, extract.PostgresConfig{DSN: s.dsn}, set)
	} else {
		t, err = extract.InspectParquet(ctx, extract.ParquetConfig{Dir: s.dir}, set)
	}
	return t, jobs.Classify(err)
}

// messages proposes the set of messages: rows, or the list in them that looks
// like messages if the rows do not.
func (s *jobSource) messages(ctx context.Context, to *jobs.DraftSet) error {
	places := s.flags.parquet
	if s.dsn != "" {
		places = []string{s.flags.table}
	}
	set, err := s.setOf(places)
	if err != nil {
		return err
	}
	t, err := s.inspect(ctx, set)
	if err != nil {
		return err
	}
	to.Set, to.Proposal = set, extract.ProposeMessages(t)
	best := t
	for _, list := range t.Lists {
		if len(to.Proposal.Missing) == 0 {
			break
		}
		nested := set
		nested.Nested = list
		inside, err := s.inspect(ctx, nested)
		if err != nil {
			return err
		}
		if p := extract.ProposeMessages(inside); len(p.Missing) < len(to.Proposal.Missing) {
			to.Set, to.Proposal, best = nested, p, inside
		}
	}
	for _, c := range best.Columns {
		s.columns = append(s.columns, c.Path)
	}
	return nil
}

// set proposes another set; nil if there is none.
func (s *jobSource) set(ctx context.Context, places []string, propose func(*extract.Table) *extract.Proposal) (*jobs.DraftSet, error) {
	if len(places) == 0 {
		return nil, nil
	}
	set, err := s.setOf(places)
	if err != nil {
		return nil, err
	}
	t, err := s.inspect(ctx, set)
	if err != nil {
		return nil, err
	}
	return &jobs.DraftSet{Set: set, Proposal: propose(t)}, nil
}

// values counts what role and kind say in all rows.
func (s *jobSource) values(ctx context.Context, set extract.Set) (all []extract.FieldValues, err error) {
	if s.dsn != "" {
		p, err := extract.OpenPostgres(ctx, extract.PostgresConfig{DSN: s.dsn, Messages: []extract.Set{set}})
		if err != nil {
			return nil, jobs.Classify(err)
		}
		defer p.Close()
		return p.Values(ctx)
	}
	p, err := extract.OpenParquet(ctx, extract.ParquetConfig{Dir: s.dir, Messages: []extract.Set{set}})
	if err != nil {
		return nil, jobs.Classify(err)
	}
	defer p.Close()
	return p.Values(ctx)
}
