package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/jobs/examples"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// job is a folder with an export and a job file, and the program to run it.
type job struct {
	t   *testing.T
	dir string
	env []string
}

func newJob(t *testing.T, conversations int, destination string) *job {
	t.Helper()
	j := &job{t: t, dir: t.TempDir()}
	f, err := os.Create(filepath.Join(j.dir, "chats.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(examples.Write(f, conversations, 7, nil), f.Close()); err != nil {
		t.Fatal(err)
	}
	j.write("job.yaml", chatsJob+destination)
	return j
}

// chatsJob is a job that reads the export of package examples.
const chatsJob = `
name: chats
source:
  parquet:
    messages:
      files: [chats.parquet]
      fields:
        conversation_id: chat_id
        message_id: id
        sent_at: created_at
        changed_at: inserted_at
        sequence: seq
        role: {column: author_type, values: {user: customer, lead: customer, admin: agent}}
        kind: {column: part_type, values: {comment: message, close: end, assignment: assign, open: ignore, rating: ignore}}
        author_username: author_login
        agent_id: assigned_to_id
        agent_name: assigned_to_name
        user_id: contact_id
        anonymous_id: visitor_id
        deleted: is_deleted
conversation:
  identity: anonymous
`

func (j *job) write(name, content string) {
	j.t.Helper()
	if err := os.WriteFile(filepath.Join(j.dir, name), []byte(content), 0o600); err != nil {
		j.t.Fatal(err)
	}
}

func (j *job) read(name string) []byte {
	j.t.Helper()
	data, err := os.ReadFile(filepath.Join(j.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		j.t.Fatal(err)
	}
	return data
}

// binary builds the program, once, as users have it: without what tests are
// instrumented with, which makes it so slow that kills hit its start only. It is
// compiled as for the image, so that all of it is compiled only once.
func binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "chatbackfill")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// process is a run of the program.
type process struct {
	*exec.Cmd
	output bytes.Buffer
}

// start starts the program on the job file.
func (j *job) start(args ...string) *process {
	j.t.Helper()
	p := &process{Cmd: exec.Command(binary(j.t), args...)}
	p.Dir, p.Env = j.dir, append(os.Environ(), j.env...)
	p.Stdout, p.Stderr = &p.output, &p.output
	if err := p.Start(); err != nil {
		j.t.Fatal(err)
	}
	return p
}

// exit waits for the end of the program and returns its exit code; -1 if it was
// killed.
func (p *process) exit() int {
	// The code says whether it failed; its output is shown if that is wrong.
	_ = p.Wait()
	return p.ProcessState.ExitCode()
}

// finish runs the job until it is done, interrupting each run that takes longer
// than a random time below within by the signals that signal returns, and
// returns how often it did.
func (j *job) finish(seed uint64, within time.Duration, signal func(*rand.Rand) os.Signal) (interrupted int) {
	j.t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		p := j.start("run", "job.yaml")
		timer := time.AfterFunc(time.Duration(random.Int64N(int64(within))), func() { _ = p.Process.Signal(signal(random)) })
		code := p.exit()
		timer.Stop()
		switch code {
		case jobs.ExitDone:
			return interrupted
		case -1, jobs.ExitInterrupted, jobs.ExitTakenOver:
			interrupted++
			// The longer it takes, the longer the next run may.
			within += within / 20
		default:
			j.t.Fatalf("seed %d: exit %d after %d interruptions\n%s", seed, code, interrupted, p.output.String())
		}
	}
	j.t.Fatalf("seed %d: not done after %d interruptions", seed, interrupted)
	return 0
}

func kill(*rand.Rand) os.Signal { return syscall.SIGKILL }

// anySignal returns one of the signals that end a run, most often the gentle ones.
func anySignal(r *rand.Rand) os.Signal {
	return []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL}[r.IntN(3)]
}

const intoSegment = `
destination:
  segment:
    source: test
    write_key: key
    rate: unlimited
    endpoint: `

const toFile = `
destination:
  file:
    path: events.ndjson
`

// TestKilledRunsIntoAFile kills the program at random moments and runs it again
// until it is done: the file has the lines of a run that was left alone, each
// once.
func TestKilledRunsIntoAFile(t *testing.T) {
	left := newJob(t, 9000, toFile)
	took := left.leftAlone()
	want := lines(left.read("events.ndjson"))
	if len(want) < 100_000 {
		t.Fatalf("%d events are too few to interrupt anything: several chunks are needed", len(want))
	}
	for seed, signal := range []func(*rand.Rand) os.Signal{kill, anySignal} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			j := newJob(t, 9000, toFile)
			n := j.finish(uint64(seed), took/2, signal)
			t.Logf("%d interruptions", n)
			if got := lines(j.read("events.ndjson")); !slices.Equal(got, want) {
				t.Fatalf("%d lines, want %d; first difference: %s", len(got), len(want), firstDifference(got, want))
			}
		})
	}
}

// leftAlone runs the job without interruption and returns how long it took.
func (j *job) leftAlone() time.Duration {
	j.t.Helper()
	binary(j.t) // building it takes its own time
	began := time.Now()
	if p := j.start("run", "job.yaml"); p.exit() != jobs.ExitDone {
		j.t.Fatal(p.output.String())
	}
	return time.Since(began)
}

// lines returns the lines of a file, sorted.
func lines(data []byte) []string {
	all := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	slices.Sort(all)
	return all
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("\n got %s\nwant %s", got[i], want[i])
		}
	}
	return "one has more"
}

// TestKilledRunsIntoSegment does the same with deliveries to Segment. What was
// in flight when the program was killed may arrive twice, with the same id.
func TestKilledRunsIntoSegment(t *testing.T) {
	alone := segmenttest.New(t)
	took := newJob(t, 3000, intoSegment+alone.URL).leftAlone()
	server := segmenttest.New(t)
	n := newJob(t, 3000, intoSegment+server.URL).finish(1, took/2, kill)
	t.Logf("%d kills, %d events arrived twice", n, len(server.Duplicates()))
	sameEvents(t, server, alone)
	if limit := n * 20_000; len(server.Duplicates()) > limit {
		t.Fatalf("%d events arrived twice, at most %d may", len(server.Duplicates()), limit)
	}
}
