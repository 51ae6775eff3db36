package chaos

import (
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// heal takes all faults of the server away, runs the job to its end, and checks.
func (r *rig) heal() {
	r.Helper()
	r.server.Fault(nil)
	r.again()
	r.check()
}

// hold lets the server answer nothing until release is called. The channel tells
// of each request that arrives.
func (r *rig) hold() (arrived <-chan struct{}, release func()) {
	requests, released := make(chan struct{}, 1000), make(chan struct{})
	var once atomic.Bool
	release = func() {
		if once.CompareAndSwap(false, true) {
			close(released)
		}
	}
	r.Cleanup(release)
	r.server.Fault(func(segmenttest.Request) segmenttest.Answer {
		requests <- struct{}{}
		<-released
		return segmenttest.Answer{}
	})
	return requests, release
}

// answersLost: events are accepted, and the connection breaks before the answer.
func answersLost(r *rig) {
	r.server.Fault(func(q segmenttest.Request) segmenttest.Answer {
		if q.N%3 != 2 {
			return segmenttest.Answer{}
		}
		r.unsaid.Add(int64(len(q.IDs)))
		return segmenttest.LoseAnswer()
	})
	stop := r.watch()
	r.run(jobs.ExitDone)
	stop()
	if r.unsaid.Load() == 0 {
		r.Fatal("no answer was lost")
	}
	r.check()
}

// answersOutOfOrder: some batches are answered long after those sent later.
func answersOutOfOrder(r *rig) {
	stop := r.watch()
	r.server.Fault(func(q segmenttest.Request) segmenttest.Answer {
		if q.N%5 == 2 {
			return segmenttest.Answer{After: 400 * time.Millisecond}
		}
		return segmenttest.Answer{}
	})
	r.run(jobs.ExitDone)
	stop()
	r.check()
}

// middle is a chat half way through the source, and one of its events.
func (r *rig) middle() (chat, id string) {
	chats := r.inOrder()
	chat = chats[len(chats)/2]
	return chat, r.oracle.fresh[chat][0]
}

// oneBatchFails: whatever batch has a certain event in it is answered 500.
func oneBatchFails(r *rig) {
	chat, id := r.middle()
	r.settings["destination"] = r.segment(r.server.URL, "retry_for: 1s")
	r.write()
	r.server.Fault(func(q segmenttest.Request) segmenttest.Answer {
		if q.Has(id) {
			return segmenttest.Status(http.StatusInternalServerError)
		}
		return segmenttest.Answer{}
	})
	stop := r.watch()
	r.run(jobs.ExitInterrupted)
	stop()
	at, err := r.store.checkpoint()
	if err != nil {
		r.Fatal(err)
	}
	if at.Done || !before(at.Position, r.positionOf(chat)) {
		r.Errorf("the checkpoint passed a batch that was not accepted: %+v", at)
	}
	if len(r.server.Accepted()) == 0 {
		r.Error("nothing else was accepted")
	}
	r.heal()
}

// poisonEvent: Segment refuses whatever batch has a certain event in it.
func poisonEvent(r *rig) {
	chat, id := r.middle()
	r.server.Fault(segmenttest.Poison(id))
	r.run(jobs.ExitDone)
	// Each batch that is refused is sent in halves: twice the logarithm of its
	// size, and some more for batches that have nothing to do with it.
	if n := len(r.server.Requests()); n > 40 {
		r.Errorf("%d requests", n)
	}
	content := r.oracle.refuse(chat, id)
	r.check()

	r.server.Fault(nil)
	r.parted = true
	r.command(jobs.ExitDone, "rejects", "retry", "job.yaml")
	r.oracle.admit(chat, id, content)
	r.check()
}

// notOurs: the key, the region or the endpoint is wrong: nothing can be accepted.
func notOurs(r *rig) {
	for _, code := range []int{401, 403, 404, 405, 501} {
		r.server.Fault(segmenttest.Always(segmenttest.Status(code)))
		r.run(jobs.ExitRefused)
	}
	r.nothingRecorded()
	r.heal()
}

// nothingRecorded: the state claims nothing.
func (r *rig) nothingRecorded() {
	r.Helper()
	at, err := r.store.checkpoint()
	if err != nil {
		r.Fatal(err)
	}
	if n := r.store.ledgerEntries(r.T); n > 0 || at.Position != "" || at.Done {
		r.Errorf("%d events are recorded, the checkpoint is %+v", n, at)
	}
	var rejects int
	r.store.query(r.T, &rejects, `SELECT count(*) FROM `+r.store.schema+`rejects WHERE stage = 'send'`)
	if rejects > 0 {
		r.Errorf("%d events are rejected", rejects)
	}
}

// redirects: the endpoint leads elsewhere, where events would be taken.
func redirects(r *rig) {
	elsewhere := segmenttest.New(r.T)
	for _, code := range []int{301, 302, 303, 307, 308} {
		r.server.Fault(segmenttest.Always(segmenttest.Answer{
			Status: code, Header: map[string]string{"Location": elsewhere.URL + "/v1/batch"},
		}))
		r.run(jobs.ExitRefused)
	}
	if n := len(elsewhere.Requests()); n > 0 {
		r.Errorf("%d requests followed a redirect", n)
	}
	r.nothingRecorded()
	r.heal()
}

// told: the program is told to stop, again and again.
func told(r *rig) {
	r.slowly(20 * time.Millisecond)
	r.interrupt(func(random *rand.Rand) os.Signal {
		return []os.Signal{syscall.SIGTERM, os.Interrupt}[random.IntN(2)]
	})
	r.check()
}

// toldWhileWaiting: the program is told to stop while it waits to try again.
func toldWhileWaiting(r *rig) {
	r.settings["destination"] = r.segment(r.server.URL, "retry_for: 1h")
	r.write()
	for _, answer := range []segmenttest.Answer{segmenttest.Throttle("300"), segmenttest.Retry(503, "300")} {
		arrived := make(chan struct{}, 1000)
		r.server.Fault(func(segmenttest.Request) segmenttest.Answer {
			arrived <- struct{}{}
			return answer
		})
		p := r.start("run", "job.yaml")
		<-arrived
		p.signal(syscall.SIGTERM)
		if code := p.exit(); code != jobs.ExitInterrupted {
			r.Fatalf("exit %d\n%s", code, p.output.String())
		}
	}
	r.nothingRecorded()
	r.heal()
}

// throttled: Segment asks to wait, in all the ways in which it may.
func throttled(r *rig) {
	ways := []string{"0", "1", "", "soon", "-5", "99999999999999999999", time.Now().UTC().Add(time.Second).Format(http.TimeFormat)}
	r.server.Fault(func(q segmenttest.Request) segmenttest.Answer {
		if q.N%2 == 0 && q.N/2 <= len(ways) {
			return segmenttest.Throttle(ways[q.N/2-1])
		}
		return segmenttest.Answer{}
	})
	stop := r.watch()
	r.run(jobs.ExitDone)
	stop()
	r.check()
}

// storm: for some time nothing works, each time in another way.
func storm(r *rig) {
	ways := []segmenttest.Answer{
		segmenttest.Status(500), segmenttest.Status(502), segmenttest.Status(503), segmenttest.Status(504),
		segmenttest.Status(408), segmenttest.Status(410), segmenttest.Status(460), {Status: 503, Lost: true},
	}
	r.server.CutNext(2)
	r.server.Fault(func(q segmenttest.Request) segmenttest.Answer {
		if q.N%2 == 0 && q.N/2 <= len(ways) {
			return ways[q.N/2-1]
		}
		return segmenttest.Answer{}
	})
	stop := r.watch()
	r.run(jobs.ExitDone)
	stop()
	r.check()
}

// notAnAPI: 200 is said, and nothing is accepted.
func notAnAPI(r *rig) {
	for _, answer := range []segmenttest.Answer{
		segmenttest.HTML(), segmenttest.NoSuccess(), segmenttest.Status(201), segmenttest.Status(202), segmenttest.Status(204), segmenttest.Status(206),
	} {
		r.server.Fault(segmenttest.Always(answer))
		r.run(jobs.ExitRefused)
	}
	r.nothingRecorded()
	r.heal()
}

// nobodyThere: nothing listens where Segment or the database should be.
func nobodyThere(r *rig) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	there := r.settings["destination"]
	r.settings["destination"] = r.segment("http://"+address, "retry_for: 1s")
	r.write()
	r.run(jobs.ExitInterrupted)
	r.nothingRecorded()
	r.settings["destination"] = there
	r.write()
	for name, dsn := range r.env {
		if strings.HasPrefix(dsn, "postgres://") {
			r.env[name] = withPassword(r.T, "postgres://postgres@"+address+"/none?sslmode=disable")
			r.run(jobs.ExitInterrupted)
			r.env[name] = dsn
		}
	}
	r.heal()
}

// heldUp: Segment answers nothing for a while. Nothing is open in the source
// meanwhile, and no more is read than is needed.
func heldUp(r *rig) {
	arrived, release := r.hold()
	p := r.start("run", "job.yaml")
	<-arrived
	for _, db := range r.databases() {
		r.eventually("the end of all transactions", func() bool {
			var n int
			err := db.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
				AND application_name LIKE 'chatbackfill%' AND xact_start IS NOT NULL`).Scan(&n)
			return err == nil && n == 0
		})
	}
	release()
	if code := p.exit(); code != jobs.ExitDone {
		r.Fatalf("exit %d\n%s", code, p.output.String())
	}
	r.check()
}
