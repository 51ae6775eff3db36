package extract

import (
	"context"
	"fmt"
	"math"
	"strings"
)

// Sample returns a reader of some whole conversations: those of about so many
// rows, evenly from all of the source. There may be none even though there are
// conversations, if they are few and large: a larger sample has some. The rows
// of no conversation are all in it.
func (p *Parquet) Sample(ctx context.Context, rows int) (*Reader, error) {
	share := float64(rows) / float64(max(1, p.RowCount()))
	r, err := p.Transcripts(ctx, "")
	if r != nil {
		r.only = func(at point) bool { return at.id == "" || float64(at.hash) <= share*math.MaxUint64 }
	}
	return r, err
}

// Only returns a reader of the conversations with these ids.
func (p *Parquet) Only(ctx context.Context, ids []string) (*Reader, error) {
	return p.Pass(Pass{Lower: 1, Upper: 1, Due: ids}).Transcripts(ctx, "")
}

// samplePage is how many conversations of a sample are read at once.
const samplePage = 100

// Sample returns a reader of some whole conversations: those of the first rows
// that the database comes by.
func (p *PostgresPass) Sample(ctx context.Context, rows int) (*PostgresReader, error) {
	var ids []string
	err := p.retry(ctx, "a sample of conversations", func() error {
		ids = nil
		return p.inTransaction(ctx, pageTimeout, func(tx *pgTransaction) error {
			return tx.rows(ctx, p.someIDs(rows), nil, anyFields, func(values [][]byte) error {
				ids = append(ids, string(values[0]))
				return nil
			})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("choose conversations: %w", err)
	}
	return p.Only(ids), nil
}

// Only returns a reader of the conversations with these ids.
func (p *PostgresPass) Only(ids []string) *PostgresReader {
	return &PostgresReader{pass: p, size: min(samplePage, p.cfg.Page), pending: ids, listed: true}
}

// someIDs selects the ids of conversations that some rows of messages belong to.
func (p *PostgresPass) someIDs(rows int) *pgStatement {
	s := &pgStatement{}
	var branches []string
	for _, r := range p.messages {
		id := r.id.idText("listed.id")
		if r.prefix != "" {
			id = s.arg(r.prefix, "text") + " || " + id
		}
		where := r.idColumn.sql + " IS NOT NULL"
		if r.filter.sql != "" {
			where += " AND " + r.filter.sql
		}
		branches = append(branches, fmt.Sprintf("SELECT %s AS id FROM (SELECT %s AS id FROM %s WHERE %s LIMIT %d) AS listed",
			id, r.idColumn.sql, r.from, where, rows))
	}
	s.sql = `SELECT DISTINCT (ids.id) COLLATE "C" FROM (` + strings.Join(branches, " UNION ALL ") + `) AS ids ORDER BY 1`
	return s
}
