package chaos

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// What a call does to a file.
const (
	writing = "write"
	syncing = "sync"
)

// call is a system call of the program: what it does, and to which file.
type call struct{ does, path string }

// fate is what becomes of a call; the zero one lets it go on.
type fate struct {
	errno syscall.Errno
	kill  bool
}

// launcher is the command of a program whose calls the rig answers.
func (r *rig) launcher(args []string) (*exec.Cmd, *os.File) {
	r.Helper()
	cmd, socket, err := launcher(r.binary, args)
	if err != nil {
		r.Skip("nobody can answer a program's system calls here: ", err)
	}
	return cmd, socket
}

// answer answers the calls of a process that a launcher has started.
func (r *rig) answer(p *process, socket *os.File) {
	r.Helper()
	defer socket.Close()
	p.ExtraFiles[0].Close()
	listener, err := received(socket)
	if err != nil {
		_ = p.Wait()
		r.Skipf("the kernel does not let a program's system calls be answered: %v\n%s", err, p.output.String())
	}
	go answerCalls(listener, p.Process, r.verdict)
}

// toState reports whether a call is about the files of the state store, or the
// folder that names them.
func (r *rig) toState(c call) bool {
	return c.path == r.dir || strings.HasPrefix(c.path, filepath.Join(r.dir, "state.db"))
}

// diskFails: the disk is full, or broken, for a while: below the state, and below
// the file that events are written to.
func diskFails(r *rig) {
	r.stateDiskFails()
	r.stateDiskStaysFull()
	outputs := []string{"events.ndjson", "events.parquet"}
	if !thorough() {
		outputs = outputs[r.seed%2:][:1]
	}
	for _, path := range outputs {
		world := r.another(uint64(len(path)))
		world.intoFile(path)
		world.outputDiskFails()
	}
	r.nobodyCanBeTold()
}

// failure is how a disk fails.
type failure struct {
	does  string
	errno syscall.Errno
}

// failures are all there are, or in the short run one of each kind of calls.
func (r *rig) failures() []failure {
	all := []failure{{writing, syscall.ENOSPC}, {writing, syscall.EFBIG}, {writing, syscall.EIO}, {syncing, syscall.EIO}}
	if !thorough() {
		return []failure{all[r.random.IntN(3)], all[3]}
	}
	return all
}

// letFail lets some calls fail, one after another, from the nth on.
func letFail(does string, errno syscall.Errno, n, times int64, about func(call) bool) (verdict func(call) fate, failed *atomic.Int64) {
	var count atomic.Int64
	failed = new(atomic.Int64)
	return func(c call) fate {
		if c.does != does || !about(c) {
			return fate{}
		}
		if i := count.Add(1); i < n || i >= n+times {
			return fate{}
		}
		failed.Add(1)
		return fate{errno: errno}
	}, failed
}

// stateDiskFails lets the state store fail a few times: nothing is claimed that
// it has not kept, and the run goes on, or the next one does.
func (r *rig) stateDiskFails() {
	r.Helper()
	all := int64(0)
	for _, f := range r.failures() {
		moments := []int64{1, 2 + r.random.Int64N(7)}
		if !thorough() {
			moments = moments[r.random.IntN(2):][:1]
		}
		for _, n := range moments {
			var failed *atomic.Int64
			r.verdict, failed = letFail(f.does, f.errno, n, 2, r.toState)
			stop := r.watch()
			p := r.start("run", "job.yaml")
			switch code := p.exit(); code {
			case jobs.ExitDone:
			case jobs.ExitInterrupted, jobs.ExitTakenOver:
				r.kills++ // what it had sent may not be recorded
			default:
				r.Fatalf("seed %d: %s %d: %v: exit %d\n%s", r.seed, f.does, n, f.errno, code, p.output.String())
			}
			stop()
			r.verdict = nil
			all += failed.Load()
			r.again()
			r.check()
			r.next()
		}
	}
	r.again()
	if all == 0 {
		r.Errorf("seed %d: the disk never failed", r.seed)
	}
}

// stateDiskStaysFull lets nothing more into the state store once events were
// accepted, until the run is told to stop. It says that it is not done.
func (r *rig) stateDiskStaysFull() {
	r.Helper()
	var full atomic.Bool
	seen := make(chan struct{}, 1000)
	r.verdict = func(c call) fate {
		if !full.Load() || c.does != writing || !r.toState(c) {
			return fate{}
		}
		select {
		case seen <- struct{}{}:
		default:
		}
		return fate{errno: syscall.ENOSPC}
	}
	r.server.Fault(func(segmenttest.Request) segmenttest.Answer {
		full.Store(true)
		return segmenttest.Answer{}
	})
	r.next()
	stop := r.watch()
	p := r.start("run", "job.yaml")
	r.verdict = nil
	<-seen
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != jobs.ExitInterrupted {
		r.Errorf("the disk is full: exit %d\n%s", code, p.output.String())
	}
	stop()
	r.kills++
	r.heal()
}

// outputDiskFails lets the file of events fail: what is written twice, or half,
// is in it once.
func (r *rig) outputDiskFails() {
	r.Helper()
	toOutput := func(c call) bool { return strings.HasPrefix(c.path, r.file) }
	for _, f := range r.failures() {
		var failed *atomic.Int64
		r.verdict, failed = letFail(f.does, f.errno, 1, 1, toOutput)
		p := r.start("run", "job.yaml")
		if code := p.exit(); code != jobs.ExitInterrupted && (code != jobs.ExitDone || failed.Load() > 0) {
			r.Fatalf("seed %d: %s: %v: exit %d\n%s", r.seed, f.does, f.errno, code, p.output.String())
		}
		r.verdict = nil
		r.again()
		r.check()
		r.next()
	}
	r.again()
	r.check()
}

// nobodyCanBeTold lets the run write its log and its summary to a disk that is
// full: that is no reason not to deliver.
func (r *rig) nobodyCanBeTold() {
	r.Helper()
	r.next()
	sink, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		r.Skip("there is no /dev/full here: ", err)
	}
	defer sink.Close()
	r.deaf = sink
	r.run(jobs.ExitDone, "-v")
	r.deaf = nil
	r.check()
}

// killedAtSync: the program is killed in front of every call that makes the state
// last, first in a run that finds no state, then in the next one.
func killedAtSync(r *rig) {
	every := 1
	if !thorough() {
		every = 9
	}
	for n := 1; ; n += every {
		world := r.another(uint64(n))
		reached := world.killAtSync(n)
		world.next()
		if !world.killAtSync(n) && !reached {
			if n < 10 {
				r.Errorf("a run makes its state last less than %d times", n)
			}
			r.Logf("killed at %d kinds of moments", n-1)
			return
		}
	}
}

// killAtSync runs the job until it syncs for the nth time, and reports whether it
// did so before it was done. The state is one that was committed, and the next
// run goes on from there.
func (r *rig) killAtSync(n int) (reached bool) {
	r.Helper()
	var count atomic.Int64
	r.verdict = func(c call) fate {
		return fate{kill: c.does == syncing && r.toState(c) && count.Add(1) == int64(n)}
	}
	p := r.start("run", "job.yaml")
	r.verdict = nil
	switch code := p.exit(); code {
	case killed:
		r.kills++
		r.sound()
		r.again()
	case jobs.ExitDone:
	default:
		r.Fatalf("seed %d: sync %d: exit %d\n%s", r.seed, n, code, p.output.String())
	}
	r.check()
	return p.ProcessState.ExitCode() == killed
}

// sound checks that the state is that of a transaction's end: no page of it is
// damaged, and what is recorded together is there together or not at all.
func (r *rig) sound() {
	r.Helper()
	// To open it may be to write: what a transaction has left half done is undone.
	db, err := sql.Open("sqlite", filepath.Join(r.dir, "state.db"))
	if err != nil {
		r.Fatal(err)
	}
	defer db.Close()
	var found string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&found); err != nil || found != "ok" {
		r.Errorf("seed %d: the state store is damaged: %s, %v", r.seed, found, err)
	}
	at, err := r.store.checkpoint()
	if err != nil {
		return // it is from before the first one
	}
	if recorded, counted := r.store.ledgerEntries(r.T), at.Tally.Events["accepted"]; r.phase == 1 && recorded != counted {
		r.Errorf("seed %d: %d events are recorded, the checkpoint counts %d", r.seed, recorded, counted)
	}
	if at.Pass > r.before {
		r.covered(at, r.inOrder())
	}
}
