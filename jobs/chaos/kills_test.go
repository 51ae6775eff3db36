package chaos

import (
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// kills is how many runs the loop kills on each combination: 200 and more over
// all four.
func kills() int {
	if thorough() {
		return 55
	}
	return 12
}

// killLoop kills the program at random moments, phase after phase, with new
// worlds when one has come to its end.
func killLoop(r *rig) {
	for world := uint64(0); ; world++ {
		if world > 0 {
			r = r.another(world)
		}
		r.slowly(8 * time.Millisecond)
		for range 3 {
			r.interrupt(func(*rand.Rand) os.Signal { return syscall.SIGKILL })
			r.check()
			if r.total.kills >= kills() {
				break
			}
			r.next()
		}
		r.again()
		r.check()
		if r.total.kills >= kills() {
			r.Logf("%d kills, %d events arrived again", r.total.kills, r.total.again)
			return
		}
	}
}

// slowly lets the server take some time for each answer, so that a signal finds
// batches on their way.
func (r *rig) slowly(most time.Duration) {
	random := rand.New(rand.NewPCG(r.seed, 3))
	delays := make([]time.Duration, 997)
	for i := range delays {
		delays[i] = time.Duration(random.Int64N(int64(most)))
	}
	r.server.Fault(func(q segmenttest.Request) segmenttest.Answer {
		return segmenttest.Answer{After: delays[q.N%len(delays)]}
	})
}

// interrupt runs the job until it is done, and sends each run a signal at a
// random moment; the checkpoint is watched.
func (r *rig) interrupt(signal func(*rand.Rand) os.Signal) {
	r.Helper()
	stop := r.watch()
	defer stop()
	// The more often, the longer the next run has: it comes to its end.
	within := 300 * time.Millisecond
	for range 500 {
		p := r.start("run", "job.yaml")
		s := signal(r.random)
		timer := time.AfterFunc(time.Duration(r.random.Int64N(int64(within))), func() { p.signal(s) })
		code := p.exit()
		timer.Stop()
		switch code {
		case jobs.ExitDone:
			return
		case killed:
			r.kills++
			r.total.kills++
		case jobs.ExitInterrupted, jobs.ExitTakenOver:
		default:
			r.Fatalf("seed %d: exit %d\n%s", r.seed, code, p.output.String())
		}
		within += within / 15
	}
	r.Fatalf("seed %d: not done", r.seed)
}
