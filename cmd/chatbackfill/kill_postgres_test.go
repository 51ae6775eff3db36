//go:build unix

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// killsVariable says how often TestKilledWithPostgres kills something.
const killsVariable = "CHATBACKFILL_TEST_KILLS"

const postgresChats = `
name: chats
source:
  postgres:
    dsn: %s
    settle: 0s
    messages: {table: messages, fields: {user_id: author_id}}
conversation: {wait_for_agent: 0s}
destination:
  segment: {source: test, write_key: key, rate: unlimited, endpoint: "%s"}
state: %s
`

func newPostgresJob(t *testing.T, source, segment, state string) *job {
	t.Helper()
	j := &job{t: t, dir: t.TempDir()}
	j.write("job.yaml", fmt.Sprintf(postgresChats, source, segment, state))
	return j
}

// fillMessages makes a table of ten messages of each conversation, in the order
// of time.
func fillMessages(t *testing.T, dsn string, conversations int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, sql := range []string{
		fmt.Sprintf(`CREATE TABLE messages AS SELECT i %% %d AS conversation_id, i AS message_id, timestamptz '2025-01-01' + i * interval '1 s' AS sent_at,
			CASE WHEN i / %d %% 2 = 0 THEN 'customer' ELSE 'agent' END AS role, i %% 7 AS author_id, 'message ' || i AS body
			FROM generate_series(0, %d) AS i`, conversations, conversations, 10*conversations-1),
		`CREATE INDEX ON messages (conversation_id)`, `ANALYZE messages`, `CREATE DATABASE state`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// TestKilledWithPostgres kills the program, and the server that has the
// transcripts and the state, by turns while batches arrive, and runs it again
// until it is done. Segment has then got the events of a run that was left
// alone. Those of the chunks in flight at a kill may have arrived twice.
func TestKilledWithPostgres(t *testing.T) {
	kills := 6
	if n, err := strconv.Atoi(os.Getenv(killsVariable)); err == nil {
		kills = n
	}
	postgres := postgrestest.Start(t)
	fillMessages(t, postgres.DSN(), 1200*kills) // 1,200 conversations take more than most batches to wait for a kill
	alone := segmenttest.New(t)
	newPostgresJob(t, postgres.DSN(), alone.URL, "sqlite:state.db").leftAlone()

	segment := segmenttest.New(t)
	state := fmt.Sprintf("postgres://postgres@%s/state?sslmode=disable", postgres.Address())
	j := newPostgresJob(t, postgres.DSN(), segment.URL, state)
	j.throughKills(postgres, segment, kills)

	want, got := alone.Accepted(), segment.Accepted()
	if len(want) < 12_000*kills || len(got) != len(want) {
		t.Errorf("%d events, want %d", len(got), len(want))
	}
	again := 0
	for id, e := range want {
		twin, ok := got[id]
		if !ok || !bytes.Equal(twin.JSON, e.JSON) {
			t.Fatalf("event %s\n got %s\nwant %s", id, twin.JSON, e.JSON)
		}
		again += twin.Times() - 1
	}
	const inFlight = 20_000
	if again > kills*inFlight {
		t.Errorf("%d events arrived again after %d kills", again, kills)
	}
	t.Logf("%d events arrived again after %d kills", again, kills)
	// A run after the end finds everything in the ledger.
	before := segment.Events()
	if p := j.start("run", "--full", "job.yaml"); p.exit() != jobs.ExitDone || segment.Events() != before {
		t.Errorf("the next run sent %d events\n%s", segment.Events()-before, p.output.String())
	}
}

// throughKills runs the job until it is done. After some batches it kills the program or the server, as often as it is told to.
func (j *job) throughKills(postgres *postgrestest.Server, segment *segmenttest.Server, kills int) {
	j.t.Helper()
	random := rand.New(rand.NewPCG(uint64(kills), 1))
	const most = 12
	batches, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	segment.Fault(func(segmenttest.Request) segmenttest.Answer {
		select {
		case batches <- struct{}{}: // a run does not end before its batches were counted
		case <-done:
		}
		return segmenttest.Answer{}
	})
	left := 1 + random.IntN(most)
	for killed, runs := 0, 0; ; runs++ {
		if runs > 10*(kills+1) {
			j.t.Fatalf("not done after %d runs", runs)
		}
		p := j.start("run", "job.yaml")
		code := make(chan int, 1)
		go func() { code <- p.exit() }()
		for running := true; running; {
			select {
			case c := <-code:
				running = false
				switch c {
				case jobs.ExitDone:
					if killed < kills {
						j.t.Errorf("it was done after %d kills already", killed)
					}
					return
				case -1, jobs.ExitInterrupted, jobs.ExitTakenOver:
				default:
					j.t.Fatalf("exit %d after %d kills\n%s", c, killed, p.output.String())
				}
			case <-batches:
				if left--; left > 0 || killed == kills {
					break
				}
				if killed%2 == 0 {
					// It may have ended by itself.
					_ = p.Process.Kill()
				} else {
					postgres.Stop(j.t)
					postgres.Start(j.t)
				}
				killed++
				left = 1 + random.IntN(most)
			}
		}
	}
}
