package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/chatbackfill/chatbackfill/extract"
)

// open opens the source: the connection or the files, and the mapping of all
// columns.
func (c *checker) open(ctx context.Context) {
	source, err := c.openSource(ctx)
	if err != nil {
		c.fail(err)
		return
	}
	c.source = source
	rows := "the mapped columns are there and of types that fit"
	if n := source.RowCount(); n > 0 {
		rows = countOf(int(n), "row", "rows") + " of messages; " + rows
	}
	c.ok("%s", rows)
}

// postgres returns the source if it is a database.
func (c *checker) postgres() *extract.Postgres {
	if p, ok := c.source.(*postgresSource); ok {
		return p.Postgres
	}
	return nil
}

// rights warns of roles that may do more than read, or do not see all rows.
func (c *checker) rights(ctx context.Context) {
	p := c.postgres()
	if p == nil {
		return
	}
	server, err := p.Server(ctx)
	if len(server.Hiding) > 0 {
		c.warn("a role with BYPASSRLS, unless the policies are to leave rows out",
			"row security may hide rows of %s from role %s: nobody would miss them", strings.Join(server.Hiding, ", "), server.Role)
	}
	const try = "a role of its own with GRANT SELECT on these tables, and nothing else"
	switch {
	case err != nil:
		c.fail(err)
	case server.Superuser:
		c.warn(try, "role %s is a superuser: this program only ever needs to read", server.Role)
	case len(server.Writable) > 0:
		c.warn(try, "role %s can write %s: this program only ever needs to read", server.Role, strings.Join(server.Writable, ", "))
	case len(server.Hiding) == 0:
		c.ok("role %s of database %s (Postgres %s) can read what it needs, and write none of it", server.Role, server.Database, server.Version)
	}
}

// bound warns of what keeps rows that are committed late from being noticed.
func (c *checker) bound(ctx context.Context) {
	p := c.postgres()
	if p == nil {
		return
	}
	b, err := p.Bound(ctx) // logs what holds it back, which is then a finding
	spec := c.Spec.Source.Postgres
	switch {
	case err != nil:
		c.fail(err)
	case !p.Incremental():
		c.warn("map changed_at to the column that says when a row was written",
			"changed_at is not mapped to a time: every run reads everything again (what was delivered is not sent again)")
	case b.Standby:
		c.warn("settle: longer than any transaction that writes messages takes",
			"the server is a standby, which does not show the primary's transactions: a row that is committed more than %s late is missed", spec.Settle+spec.Overlap)
	case b.Hidden > 0:
		c.warn("GRANT pg_read_all_stats TO the role, or a longer settle",
			"%d connections of other roles do not show their transactions: a row that is committed more than %s late is missed", b.Hidden, spec.Settle+spec.Overlap)
	default:
		c.ok("runs read up to %s before now, and only what changed since the run before", b.Now.Sub(b.Upper).Round(1e9))
	}
}

// manyRows is from how many rows on a table should have an index.
const manyRows = 10_000

// indexes explains the statements of a run, and names the indexes to create.
func (c *checker) indexes(ctx context.Context) {
	p := c.postgres()
	if p == nil {
		return
	}
	statements, err := p.Pass(extract.Pass{Full: true, Upper: extract.TimeOf(c.now)}).Explain(ctx)
	if err != nil {
		c.fail(err)
		return
	}
	slow := make(map[string]bool)
	for _, s := range statements {
		if s.Slow != "" && !slow[s.Try] {
			c.fail(&Error{Exit: ExitUsage, Err: fmt.Errorf("to read %s page by page takes too long: %s", s.Set, s.Slow), Try: s.Try})
			slow[s.Try] = true
		}
	}
	missing, err := p.MissingIndexes(ctx)
	if err != nil {
		c.fail(err)
		return
	}
	fine := len(slow) == 0
	for _, m := range missing {
		if m.Rows > 0 && m.Rows < manyRows || slow[m.Create] {
			continue
		}
		fine = false
		why := "pages of conversations are found by it"
		if m.Field == "changed_at" {
			why = "what is new is found by it"
		}
		c.warn(m.Create, "%s has no index on %s: %s", m.Table, m.Column, why)
	}
	if fine {
		c.ok("every page is read by an index, or from a small table")
	}
}

// times warns of times that do not say in which zone they are.
func (c *checker) times(context.Context) {
	source, ok := c.source.(interface{ LocalTimes() []extract.LocalTime })
	if !ok {
		return
	}
	var local []string
	for _, t := range source.LocalTimes() {
		local = append(local, fmt.Sprintf("%s of %s (%s, %s)", t.Field, t.Set, t.Column, t.Declared))
	}
	switch {
	case len(local) == 0:
		c.ok("no time has to be guessed a zone for")
	case c.Spec.Sets().Preset != "":
		c.ok("times without a zone are taken for UTC, as the preset says")
	default:
		c.warn("timezone: Europe/Berlin in the field, or timezone: UTC if they are", "without a zone, these are taken for UTC: %s", strings.Join(local, ", "))
	}
}

// values counts what role and kind say in all rows.
func (c *checker) values(ctx context.Context) {
	source, ok := c.source.(interface {
		Values(ctx context.Context) ([]extract.FieldValues, error)
	})
	if !ok {
		return
	}
	all, err := source.Values(ctx)
	if errors.Is(err, extract.ErrTooSlow) {
		c.warn("", "the values of role and kind were not counted: that takes longer than a minute")
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	for i := range all {
		c.fieldValues(&all[i])
	}
}

func (c *checker) fieldValues(f *extract.FieldValues) {
	var rows, rejected int64
	var unknown []string
	for _, v := range f.Values {
		rows += v.Rows
		if v.Rejected > 0 {
			rejected += v.Rejected
			unknown = append(unknown, v.Value)
		}
	}
	finding := CheckFinding{Check: f.Field, Status: CheckOK, Values: f.Values}
	switch {
	case f.Others > 0:
		finding.Status = CheckFailed
		finding.Exit = ExitUsage
		finding.Text = fmt.Sprintf("%s of %s has more than %d values: it is mapped to another column than that of the %ss", f.Field, f.Set, len(f.Values), f.Field)
		finding.Try = "a column with few values"
		finding.Values = nil
	case rejected > 0:
		finding.Status = CheckWarning
		finding.Text = fmt.Sprintf("%s of %s rows of %s have a %s without a mapping, and would be rejected",
			humanize.Comma(rejected), humanize.Comma(rows), f.Set, f.Field)
		finding.Try = fmt.Sprintf("add to values of %s: %s", f.Field, strings.Join(unknown[:min(len(unknown), 8)], ", "))
	default:
		finding.Text = fmt.Sprintf("every value of %s in %s has its meaning", f.Field, f.Set)
	}
	c.found(finding)
}

// agents reads the directory.
func (c *checker) agents(ctx context.Context) {
	if c.Spec.Sets().Agents == nil {
		return
	}
	directory, err := c.source.Directory(ctx)
	if err != nil {
		c.fail(err)
		return
	}
	source, ok := c.source.(interface{ DirectoryRejects() []extract.Reject })
	if ok && len(source.DirectoryRejects()) > 0 {
		rejects := source.DirectoryRejects()
		c.warn("mend the rows, or leave them out with where", "%d rows of the directory of agents are left out, the first because of %s", len(rejects), &rejects[0])
		return
	}
	c.ok("the directory names %s agents", humanize.Comma(int64(len(directory))))
}
