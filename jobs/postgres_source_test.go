package jobs

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// chatTable is a table of messages in a Postgres database, and a job that reads
// it into a file.
type chatTable struct {
	*testing.T
	dir string
	dsn string
	db  *sql.DB
}

const chatTableJob = `
name: chats
source:
  postgres:
    dsn: %s
    settle: 0s
    messages: {table: messages, fields: {user_id: author_id}}
conversation: {wait_for_agent: 0s}
destination: {file: {path: events.ndjson}}
`

func newChatTable(t *testing.T) *chatTable {
	t.Helper()
	c := &chatTable{T: t, dir: t.TempDir(), dsn: postgrestest.New(t)}
	var err error
	if c.db, err = sql.Open("pgx", c.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.db.Close() })
	c.exec(`CREATE TABLE messages (conversation_id text, message_id text, sent_at timestamptz, changed_at timestamptz,
		role text, kind text, author_id text, body text)`)
	c.exec(`CREATE INDEX ON messages (conversation_id)`)
	return c
}

func (c *chatTable) exec(query string, args ...any) {
	c.Helper()
	if _, err := c.db.ExecContext(c.Context(), query, args...); err != nil {
		c.Fatal(err)
	}
}

const insertRow = `INSERT INTO messages VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

func (c *chatTable) insert(r arrivedRow, changed time.Time) {
	c.Helper()
	c.exec(insertRow, r.Conversation, r.ID, time.UnixMilli(r.SentAt), changed, r.Role, r.Kind, r.Author, r.Body)
}

func (c *chatTable) execution() Execution {
	c.Helper()
	spec, err := ParseSpec(filepath.Join(c.dir, "job.yaml"), fmt.Appendf(nil, chatTableJob, c.dsn), os.LookupEnv)
	if err != nil {
		c.Fatal(err)
	}
	return Execution{Spec: spec, Log: quiet}
}

// wantEvents reports other events than those of another way, both of which have
// names.
func (c *chatTable) wantEvents(other *chatTable, names string) {
	c.Helper()
	if diff := cmp.Diff(other.events(), c.events()); diff != "" {
		c.Errorf("events (%s)\n%s", names, diff)
	}
}

func (c *chatTable) run() Summary {
	c.Helper()
	summary, err := Execute(c.Context(), c.execution())
	if err != nil {
		c.Fatal(err)
	}
	return summary
}

func (c *chatTable) events() []string {
	c.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, "events.ndjson"))
	if err != nil {
		c.Fatal(err)
	}
	events := slices.Collect(strings.Lines(string(data)))
	slices.Sort(events)
	return events
}

// madeUpRows are rows of some conversations, a few of them twice.
func madeUpRows(conversations int) []arrivedRow {
	random := rand.New(rand.NewPCG(1, 2))
	var rows []arrivedRow
	for c := range conversations {
		begun := noon.Add(time.Duration(c) * time.Minute)
		for m := range 1 + random.IntN(8) {
			body := fmt.Sprintf("message %d of %d: ü <&> 👋", m, c)
			row := arrivedRow{
				Conversation: fmt.Sprintf("c-%d", c), ID: fmt.Sprint(c*100 + m), SentAt: begun.Add(time.Duration(m) * 20 * time.Second).UnixMilli(),
				Role: "customer", Kind: "message", Author: fmt.Sprintf("u%d", c%7), Body: &body,
			}
			if m > 0 && random.IntN(2) == 0 {
				row.Role, row.Author = "agent", fmt.Sprintf("a%d", random.IntN(3))
			}
			if m > 3 && random.IntN(3) == 0 {
				row.Kind = "end"
			}
			rows = append(rows, row)
			if random.IntN(10) == 0 {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// TestPostgresGivesTheEventsOfParquet: the same rows give the same events, byte
// for byte, wherever they are read from.
func TestPostgresGivesTheEventsOfParquet(t *testing.T) {
	rows := madeUpRows(300)
	c := newChatTable(t)
	for _, row := range rows {
		c.insert(row, noon)
	}
	c.run()

	a := newArrivals(t)
	writeExport(t, filepath.Join(a.dir, "rows.parquet"), int(24*time.Hour/time.Minute), rows)
	job := strings.NewReplacer("name: arrivals", "name: chats", "wait_for_agent: 1h", "wait_for_agent: 0s").Replace(arrivalsJob)
	spec, err := ParseSpec(filepath.Join(a.dir, "job.yaml"), []byte(job), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Execute(t.Context(), Execution{Spec: spec, Log: quiet}); err != nil {
		t.Fatal(err)
	}
	parquet := &chatTable{T: t, dir: a.dir}
	c.wantEvents(parquet, "-parquet +postgres")
}

// TestPostgresPasses: later runs look at what changed only, find rows that were
// committed late and conversations that grow, and send nothing twice.
func TestPostgresPasses(t *testing.T) {
	c := newChatTable(t)
	rows := madeUpRows(60)
	for _, row := range rows {
		c.insert(row, noon)
	}
	first := c.run()
	if again := c.run(); again.Tally.RowCount() != 0 {
		t.Errorf("a run with nothing new read %d rows of %d", again.Tally.RowCount(), first.Tally.RowCount())
	}

	// A row that is written before the bound of the run and committed after it.
	tx, err := c.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	body := "late"
	late := arrivedRow{Conversation: "c-5", ID: "late", SentAt: time.Now().Add(-time.Minute).UnixMilli(), Role: "customer", Kind: "message", Author: "u5", Body: &body}
	_, err = tx.ExecContext(t.Context(), insertRow, late.Conversation, late.ID, time.UnixMilli(late.SentAt), time.Now(), late.Role, late.Kind, late.Author, late.Body)
	if err != nil {
		t.Fatal(err)
	}
	c.run()
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	grown := late
	grown.Conversation, grown.ID = "c-6", "grown"
	c.insert(grown, time.Now())
	s := c.run()
	if n := s.Tally.Conversations; n != 2 || s.Sent[2] != 2 {
		t.Errorf("%d conversations were looked at, sent %v: want the two that changed", n, s.Sent)
	}
	if again := c.run(); len(again.Sent) != 0 {
		t.Errorf("sent again: %v", again.Sent)
	}

	whole := newChatTable(t)
	for _, row := range append(rows, late, grown) {
		whole.insert(row, noon)
	}
	whole.run()
	c.wantEvents(whole, "-one import +several runs")
}

// TestPostgresInterrupted: a pass that is stopped is resumed between the same
// bounds.
func TestPostgresInterrupted(t *testing.T) {
	c := newChatTable(t)
	for _, row := range madeUpRows(120) {
		c.insert(row, noon)
	}
	e := c.execution()
	e.Limit, e.chunkEvents = 50, 40
	for range 5 {
		if _, err := Execute(context.WithoutCancel(t.Context()), e); err != nil {
			t.Fatal(err)
		}
	}
	whole := newChatTable(t)
	for _, row := range madeUpRows(120) {
		whole.insert(row, noon)
	}
	whole.run()
	c.wantEvents(whole, "-one run +several")
}

// TestPostgresResumedThenNext: of a pass that was interrupted before it delivered
// anything, the next run delivers everything once, although it goes on with
// another pass over rows that changed meanwhile.
func TestPostgresResumedThenNext(t *testing.T) {
	c := newChatTable(t)
	for _, row := range madeUpRows(40) {
		c.insert(row, noon)
	}
	e := c.execution()
	stopped := make(chan struct{})
	close(stopped)
	e.Stop = stopped
	if _, err := Execute(t.Context(), e); ExitCode(err) != ExitInterrupted {
		t.Fatalf("exit %d: %v", ExitCode(err), err)
	}
	c.exec(`UPDATE messages SET changed_at = now()`)
	c.run()
	events := c.events()
	if distinct := slices.Compact(slices.Clone(events)); len(distinct) < 40 || len(distinct) != len(events) {
		t.Errorf("%d events of which %d are distinct", len(events), len(distinct))
	}
}

// TestPostgresGoneChat: a chat that the database does not have any more is
// looked for as long as it may still come back, and not for ever.
func TestPostgresGoneChat(t *testing.T) {
	c := newChatTable(t)
	for _, row := range madeUpRows(2) {
		c.insert(row, noon)
	}
	c.run()
	late := extract.TimeOf(time.Now().Add(-20 * 24 * time.Hour))
	spec := c.execution().Spec
	err := WithLease(t.Context(), spec, quiet, func(ctx context.Context, l *Lease) error {
		long := extract.TimeOf(noon)
		return l.Commit(ctx, "", commit{due: map[string]extract.Time{"c-1": long, "gone": long, "late": late}})
	})
	if err != nil {
		t.Fatal(err)
	}
	c.run()
	err = WithState(t.Context(), spec, func(j *JobState) error {
		due, err := j.Due(t.Context())
		if diff := cmp.Diff(map[string]extract.Time{"late": late}, due); diff != "" {
			t.Errorf("due (-want +got)\n%s", diff)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPostgresShardsOneAfterTheOther: a shard that begins when others have ended
// reads everything of its own, and so does a run that follows shards some of
// which never began.
func TestPostgresShardsOneAfterTheOther(t *testing.T) {
	whole := newChatTable(t)
	for _, row := range madeUpRows(60) {
		whole.insert(row, noon)
	}
	whole.run()
	for name, shards := range map[string][]extract.Shard{
		"all":  {{Index: 0, Of: 3}, {Index: 1, Of: 3}, {Index: 2, Of: 3}},
		"some": {{Index: 1, Of: 3}, {Index: 0, Of: 2}, {}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChatTable(t)
			for _, row := range madeUpRows(60) {
				c.insert(row, noon)
			}
			job := strings.Replace(chatTableJob, "path: events.ndjson", "path: 'events-{shard}.ndjson'", 1)
			var events []string
			for _, shard := range shards {
				spec, err := ParseSpec(filepath.Join(c.dir, "job.yaml"), fmt.Appendf(nil, job+"state: %s\n", c.dsn, c.dsn), os.LookupEnv)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := Execute(t.Context(), Execution{Spec: spec, Log: quiet, Shard: shard}); err != nil {
					t.Fatal(err)
				}
				data, err := os.ReadFile(filepath.Join(c.dir, fmt.Sprintf("events-%d-of-%d.ndjson", shard.Index, max(1, shard.Of))))
				if err != nil {
					t.Fatal(err)
				}
				events = slices.AppendSeq(events, strings.Lines(string(data)))
			}
			slices.Sort(events)
			if diff := cmp.Diff(whole.events(), events); diff != "" {
				t.Errorf("events (-one run +shards)\n%s", diff)
			}
		})
	}
}

// TestPostgresNothingNew: runs that find nothing keep what was reached, be the
// table empty or not.
func TestPostgresNothingNew(t *testing.T) {
	c := newChatTable(t)
	for range 3 {
		if s := c.run(); s.Tally.RowCount() != 0 || len(s.Sent) != 0 {
			t.Fatalf("an empty table gave %+v", s.Tally)
		}
	}
	rows := madeUpRows(5)
	for _, row := range rows {
		c.insert(row, time.Now())
	}
	if s := c.run(); len(s.Sent) == 0 {
		t.Fatal("nothing was sent of the first rows")
	}
	for range 20 {
		if s := c.run(); len(s.Sent) != 0 {
			t.Fatalf("sent again: %v", s.Sent)
		}
	}
	body := "late"
	c.insert(arrivedRow{Conversation: "c-1", ID: "new", SentAt: time.Now().Add(-time.Second).UnixMilli(), Role: "customer", Kind: "message", Author: "u1", Body: &body}, time.Now())
	if s := c.run(); s.Tally.Conversations == 0 || len(s.Sent) == 0 {
		t.Errorf("a new row was not seen: %+v", s.Tally)
	}
}
