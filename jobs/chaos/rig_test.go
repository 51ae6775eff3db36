package chaos

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// What must be seen nowhere but where it belongs.
const (
	secretKey      = "canary-write-key-5d1c"
	secretPassword = `canary-pass:/@%#?\word`
	secretText     = "canary-message-text"
)

// secrets are these, as they might be seen.
var secrets = []string{secretKey, secretPassword, url.QueryEscape(secretPassword), url.UserPassword("", secretPassword).String()[1:], "canary-pass", secretText}

// combination is where the rows and the state are.
type combination struct{ source, store string }

const (
	inParquet  = "parquet"
	inPostgres = "postgres"
	inSQLite   = "sqlite"
)

// combinations are all there are.
var combinations = []combination{{inParquet, inSQLite}, {inPostgres, inPostgres}, {inParquet, inPostgres}, {inPostgres, inSQLite}}

func (c combination) String() string { return c.source + " rows, " + c.store + " state" }

// rig is a job with everything around it.
type rig struct {
	*testing.T
	combination
	seed   uint64
	chats  int // of the first phase
	random *rand.Rand
	dir    string // the job's; the program's temporary files are in tmp
	tmp    string

	workload *workload
	oracle   *oracle
	source   source
	store    *store
	server   *segmenttest.Server
	file     string // the destination instead of the server, or empty

	settings map[string]string // of the job file, by key
	env      map[string]string
	binary   string
	verdict  func(call) fate // on the program's calls; nil: nobody asks
	deaf     *os.File        // takes what the program says, or nil
	limit    int             // megabytes of memory that the program may have; 0: all there is

	phase  int          // how many were begun
	before int          // the pass before the phase
	kills  int          // runs that had no say in their end
	unsaid atomic.Int64 // events whose acceptance the program was not told
	parted bool         // shards and other commands read parts of the source

	total *totals // of this world and those before it

	mu   sync.Mutex
	said bytes.Buffer // by all processes
}

// totals are counts over several worlds.
type totals struct{ kills, again int }

// newRig makes a job with the rows of the seed's first phase.
func newRig(t *testing.T, c combination, seed uint64, chats int) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{
		T: t, combination: c, seed: seed, chats: chats, random: rand.New(rand.NewPCG(seed, 2)), dir: dir, tmp: filepath.Join(dir, "tmp"),
		workload: newWorkload(seed, secretText), oracle: newOracle(t, "chaos", "test"), server: segmenttest.New(t),
		env: map[string]string{"CHAOS_KEY": secretKey}, binary: binary(t), total: &totals{},
	}
	r.server.RequireKey(secretKey)
	for _, name := range []string{"tmp", "rows"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.openSource()
	r.openStore()
	r.settings = map[string]string{
		"name":         "chaos",
		"source":       r.source.yaml(),
		"conversation": "{wait_for_agent: 0s}",
		"destination":  r.segment(r.server.URL),
		"state":        r.store.yaml,
		"drain":        "10s",
	}
	r.grow(r.workload.begin(chats))
	return r
}

// another is a rig like r, with the rows of another seed. Both are counted
// together.
func (r *rig) another(world uint64) *rig {
	r.Helper()
	other := newRig(r.T, r.combination, r.seed+world*1_000_003, r.chats)
	other.binary, other.total = r.binary, r.total
	return other
}

func (r *rig) openSource() {
	if r.combination.source == inParquet {
		r.source = &parquetFiles{dir: filepath.Join(r.dir, "rows")}
		return
	}
	admin, program := newDatabase(r.T)
	r.env["CHAOS_SOURCE"] = program
	r.source = newPostgresTable(r.T, admin, "CHAOS_SOURCE")
}

func (r *rig) openStore() {
	if r.combination.store == inSQLite {
		r.store = openSQLite(r.T, r.dir)
		return
	}
	admin, program := newDatabase(r.T)
	r.env["CHAOS_STATE"] = program
	r.store = openPostgres(r.T, admin, "CHAOS_STATE")
}

func (r *rig) table() *postgresTable { return r.source.(*postgresTable) }

// segment is a destination in a job file.
func (r *rig) segment(url string, extra ...string) string {
	all := append([]string{"source: test", `write_key: "${CHAOS_KEY}"`, "rate: unlimited", "endpoint: " + url}, extra...)
	return "{segment: {" + strings.Join(all, ", ") + "}}"
}

// grow adds rows to the source and begins a phase.
func (r *rig) grow(rows []row) {
	r.Helper()
	if at, err := r.store.checkpoint(); err == nil {
		r.before = at.Pass
	}
	r.source.add(r.T, rows)
	r.oracle.phase(rows)
	r.phase++
	r.write()
}

// next begins the phase after one that has come to its end.
func (r *rig) next() { r.grow(r.workload.grow(r.phase)) }

// write writes the job file.
func (r *rig) write() {
	r.Helper()
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(r.settings)) {
		fmt.Fprintf(&b, "%s: %s\n", key, r.settings[key])
	}
	if err := os.WriteFile(filepath.Join(r.dir, "job.yaml"), []byte(b.String()), 0o600); err != nil {
		r.Fatal(err)
	}
}

// process is a run of the program.
type process struct {
	*exec.Cmd
	rig    *rig
	output bytes.Buffer
	hung   *time.Timer
	ended  chan struct{}
	memory chan int // megabytes, sent once
}

// start starts the program. One that goes on for minutes is killed.
func (r *rig) start(args ...string) *process {
	r.Helper()
	return r.startWith(nil, args...)
}

// startWith starts the program with further environment variables.
func (r *rig) startWith(env map[string]string, args ...string) *process {
	r.Helper()
	p := &process{Cmd: exec.Command(r.binary, args...), rig: r}
	if r.limit > 0 {
		limited := []string{"-c", `ulimit -d "$0"; exec "$@"`, fmt.Sprint(r.limit << 10), r.binary}
		p.Cmd = exec.Command("sh", append(limited, args...)...)
	}
	var socket *os.File
	if r.verdict != nil {
		p.Cmd, socket = r.launcher(args)
	}
	p.Dir = r.dir
	p.Env = append(append(p.Env, os.Environ()...), "TMPDIR="+r.tmp)
	for _, more := range []map[string]string{r.env, env} {
		for name, value := range maps.All(more) {
			p.Env = append(p.Env, name+"="+value)
		}
	}
	p.Stdout, p.Stderr = &p.output, &p.output
	if r.deaf != nil {
		p.Stdout, p.Stderr = r.deaf, r.deaf
	}
	if err := p.Start(); err != nil {
		r.Fatal(err)
	}
	if socket != nil {
		r.answer(p, socket)
	}
	p.hung = time.AfterFunc(5*time.Minute, func() { _ = p.Process.Kill() })
	p.ended, p.memory = make(chan struct{}), make(chan int, 1)
	go p.measure()
	return p
}

// startSending starts a run, and returns when it has sent more than n requests.
// Each is answered after a while, so that the run is far from its end then.
func (r *rig) startSending(n int) *process {
	r.Helper()
	sent := make(chan struct{})
	enough := sync.OnceFunc(func() { close(sent) })
	r.server.Fault(func(q segmenttest.Request) segmenttest.Answer {
		if q.N > n {
			enough()
		}
		return segmenttest.Answer{After: 20 * time.Millisecond}
	})
	p := r.start("run", "job.yaml")
	select {
	case <-sent:
	case <-time.After(time.Minute):
		_ = p.Process.Kill()
		r.Fatalf("seed %d: exit %d, and not %d requests\n%s", r.seed, p.exit(), n, p.output.String())
	}
	return p
}

// killed is the exit code of a process that a signal ended.
const killed = -1

// exit waits for the end of the process and returns its exit code.
func (p *process) exit() int {
	p.rig.Helper()
	var failed *exec.ExitError
	if err := p.Wait(); err != nil && !errors.As(err, &failed) {
		p.rig.Fatal(err)
	}
	if !p.hung.Stop() {
		p.rig.Fatalf("%v went on for minutes", p.Args)
	}
	p.rig.heard(p)
	return p.ProcessState.ExitCode()
}

// heard keeps what a process said, and looks at what it used.
func (r *rig) heard(p *process) {
	r.Helper()
	close(p.ended)
	if used := <-p.memory; used > maxMegabytes {
		r.Errorf("I10: %v used %d MB of memory", p.Args, used)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said.Write(p.output.Bytes())
}

// measure looks now and then how much memory the process has had at most. What
// the system says of a process that has ended counts the one that started it.
func (p *process) measure() {
	most := 0
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
		if _, line, ok := strings.Cut(string(status), "VmHWM:"); err == nil && ok {
			var kilobytes int
			if _, err := fmt.Sscan(line, &kilobytes); err == nil {
				most = max(most, kilobytes>>10)
			}
		}
		select {
		case <-p.ended:
			p.memory <- most
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// run runs the job once and checks its exit code.
func (r *rig) run(want int, args ...string) *process {
	r.Helper()
	return r.command(want, append([]string{"run", "job.yaml"}, args...)...)
}

// command runs the program and checks its exit code.
func (r *rig) command(want int, args ...string) *process {
	r.Helper()
	p := r.start(args...)
	if got := p.exit(); got != want {
		r.Fatalf("seed %d: %v: exit %d, want %d\n%s", r.seed, args, got, want, p.output.String())
	}
	return p
}

// again runs the job until it is done. What interrupted it is over.
func (r *rig) again() {
	r.Helper()
	for range 100 {
		p := r.start("run", "job.yaml")
		switch code := p.exit(); code {
		case jobs.ExitDone:
			return
		case jobs.ExitInterrupted, jobs.ExitTakenOver:
		default:
			r.Fatalf("seed %d: exit %d\n%s", r.seed, code, p.output.String())
		}
	}
	r.Fatalf("seed %d: not done after 100 runs", r.seed)
}

// signal sends a signal to the process, if it is still there.
func (p *process) signal(s os.Signal) { _ = p.Process.Signal(s) }

// eventually waits until something holds. What does not within minutes is a
// failure.
func (r *rig) eventually(what string, holds func() bool) {
	r.Helper()
	for range 30_000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.Fatalf("seed %d: %s never came", r.seed, what)
}

// databases are those of the program, as tests see them.
func (r *rig) databases() (all []*sql.DB) {
	if r.combination.source == inPostgres {
		all = append(all, r.table().db)
	}
	if r.combination.store == inPostgres {
		all = append(all, r.store.db)
	}
	return all
}
