package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// lateCommit: rows are written before a run and committed after it.
func lateCommit(r *rig) {
	r.run(jobs.ExitDone)
	r.check()
	conn, err := pgx.Connect(r.Context(), r.table().admin)
	if err != nil {
		r.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(r.Context()))
	tx, err := conn.Begin(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	late := r.workload.grow(1)
	if err := addRows(r.T, tx, late); err != nil {
		r.Fatal(err)
	}
	for range 2 {
		r.run(jobs.ExitDone) // sees nothing of them, and does not pass them
	}
	if err := tx.Commit(r.Context()); err != nil {
		r.Fatal(err)
	}
	r.oracle.phase(late)
	r.phase++
	r.run(jobs.ExitDone)
	r.check()
}

// oneTime: all rows changed at one time, and pages are much smaller than that.
func oneTime(r *rig) {
	r.table().extra = "\n    page: 7"
	r.settings["source"] = r.source.yaml()
	r.write()
	r.slowly(10 * time.Millisecond)
	for range 2 {
		r.interrupt(func(*rand.Rand) os.Signal { return syscall.SIGKILL })
		r.check()
		r.next()
	}
	r.heal()
}

// sourceCut: connections to the database break in the middle of an answer, or
// are ended by its administrator.
func sourceCut(r *rig) {
	r.table().extra = "\n    page: 40"
	r.settings["source"] = r.source.yaml()
	r.write()
	var p *proxy
	p, r.env["CHAOS_SOURCE"] = through(r.T, r.env["CHAOS_SOURCE"])
	p.limit.Store(30_000)
	stop := r.watch()
	r.again()
	stop()
	if p.cuts.Load() == 0 {
		r.Fatal("no connection was cut")
	}
	r.check()
	r.next()
	ended := r.terminating(r.table())
	r.again()
	ended()
	r.check()
}

// terminating ends the program's connections to a database again and again.
func (r *rig) terminating(p *postgresTable) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for range 20 {
			_, err := p.db.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'chatbackfill%'`)
			if err != nil {
				r.Error(err)
			}
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() { close(done); <-ended }
}

// fileTruncated: a file of the export is not complete.
func fileTruncated(r *rig) {
	dir := r.source.(*parquetFiles).dir
	name := filepath.Join(dir, "00-1.parquet")
	whole, err := os.ReadFile(name)
	if err != nil {
		r.Fatal(err)
	}
	for range 4 {
		if err := os.WriteFile(name, whole[:r.random.IntN(len(whole))], 0o600); err != nil {
			r.Fatal(err)
		}
		p := r.start("run", "job.yaml")
		code := p.exit()
		if code != jobs.ExitUsage && code != jobs.ExitInterrupted || !strings.Contains(p.output.String(), "00-1.parquet") {
			r.Fatalf("exit %d\n%s", code, p.output.String())
		}
	}
	if n := len(r.server.Accepted()); n > 0 {
		r.Errorf("%d events of an export that is not complete were sent", n)
	}
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		r.Fatal(err)
	}
	r.heal()
}

// filesAdded: the export goes on while it is read.
func filesAdded(r *rig) {
	arrived, release := r.hold()
	p := r.start("run", "job.yaml")
	<-arrived
	more := r.workload.grow(1)
	r.source.add(r.T, more) // further files are for the next run
	release()
	if code := p.exit(); code != jobs.ExitDone {
		r.Fatalf("exit %d\n%s", code, p.output.String())
	}
	r.compare(r.delivered())
	r.oracle.phase(more)
	r.phase++
	r.heal()
}

// nothingNew: there is nothing, then one chat, then for long nothing new.
func nothingNew(r *rig) {
	for range 3 {
		r.run(jobs.ExitDone)
	}
	r.check()
	r.grow(r.workload.newChat())
	r.again()
	r.check()
	requests := len(r.server.Requests())
	for range 8 {
		r.run(jobs.ExitDone)
	}
	r.check()
	if n := len(r.server.Requests()); n != requests {
		r.Errorf("%d requests although there was nothing new", n-requests)
	}
}

// sameEverywhere: the same rows in other circumstances.
func sameEverywhere(r *rig) {
	r.run(jobs.ExitDone)
	r.check()
	want := r.server.Accepted()
	for i, env := range []map[string]string{
		{"TZ": "America/Sao_Paulo", "LC_ALL": "tr_TR.UTF-8", "GOMAXPROCS": "1"},
		{"TZ": "Asia/Kathmandu", "LANG": "C", "GOMAXPROCS": "7"},
	} {
		other := newRig(r.T, r.combination, r.seed, 0)
		rows := r.workload.shuffle(append([]row(nil), r.oracle.rows...))
		switch s := other.source.(type) {
		case *postgresTable:
			s.extra = fmt.Sprintf("\n    page: %d", 3+i*50)
		case *parquetFiles:
			s.group = 1 << 10
			s.phases = 7 - i
		}
		other.settings["source"] = other.source.yaml()
		other.oracle = newOracle(r.T, "chaos", "test")
		other.phase = 0
		other.grow(named(rows, r.oracle.rows))
		maps.Copy(other.env, env)
		other.run(jobs.ExitDone)
		other.check()
		got := other.server.Accepted()
		for id, e := range want {
			if string(got[id].JSON) != string(e.JSON) {
				r.Fatalf("event %s\n got %s\nwant %s", id, got[id].JSON, e.JSON)
			}
		}
	}
}

// named keeps the rows without an id in the order in which they were: where they
// stand among each other is all that tells equal ones apart.
func named(shuffled, rows []row) []row {
	var nameless []row
	for _, r := range rows {
		if r.WithoutName {
			nameless = append(nameless, r)
		}
	}
	for i := range shuffled {
		if shuffled[i].WithoutName {
			shuffled[i], nameless = nameless[0], nameless[1:]
		}
	}
	return shuffled
}

// writers: while the job runs again and again, others write; what one commits
// late is not missed.
func writers(r *rig) {
	var mu sync.Mutex
	var written []row
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				rows := append(r.workload.newChat(), r.workload.newChat()...)
				mu.Unlock()
				if err := r.writeLate(rows); err != nil {
					r.Error(err)
					return
				}
				mu.Lock()
				written = append(written, rows...)
				mu.Unlock()
			}
		})
	}
	for range 5 {
		r.run(jobs.ExitDone)
	}
	close(done)
	wg.Wait()
	r.oracle.phase(written)
	r.phase++
	r.heal()
	r.command(jobs.ExitDone, "verify", "job.yaml")
}

// writeLate writes rows and commits them a while later.
func (r *rig) writeLate(rows []row) error {
	conn, err := pgx.Connect(r.Context(), r.table().admin)
	if err != nil {
		return err
	}
	defer conn.Close(r.Context())
	tx, err := conn.Begin(r.Context())
	if err != nil {
		return err
	}
	if err := addRows(r.T, tx, rows); err != nil {
		return errors.Join(err, tx.Rollback(r.Context()))
	}
	time.Sleep(30 * time.Millisecond) // others, and runs, come between
	return tx.Commit(r.Context())
}

// schemaDrifts: the table changes its columns while it is read.
func schemaDrifts(r *rig) {
	r.table().extra = "\n    page: 20"
	r.settings["source"] = r.source.yaml()
	r.write()
	for _, change := range []struct{ there, back string }{
		{`ALTER TABLE chats ADD COLUMN more text DEFAULT 'x'`, `ALTER TABLE chats DROP COLUMN more`},
		{`ALTER TABLE chats RENAME COLUMN body TO said`, `ALTER TABLE chats RENAME COLUMN said TO body`},
		{`ALTER TABLE chats RENAME TO talks`, `ALTER TABLE talks RENAME TO chats`},
	} {
		arrived, release := r.hold()
		p := r.start("run", "job.yaml")
		<-arrived
		r.table().exec(r.T, change.there)
		release()
		switch code := p.exit(); code {
		case jobs.ExitDone, jobs.ExitUsage, jobs.ExitInterrupted:
		default:
			r.Fatalf("%s: exit %d\n%s", change.there, code, p.output.String())
		}
		r.table().exec(r.T, change.back)
		r.server.Fault(nil)
		r.again()
		r.check()
		r.next()
	}
	r.heal()
}

// suppressed: a customer is listed after a run was killed and before the next.
func suppressed(r *rig) {
	const customer = "user-5"
	path := filepath.Join(r.dir, "suppressed")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		r.Fatal(err)
	}
	r.settings["conversation"] = "{wait_for_agent: 0s, suppress: suppressed}"
	r.write()
	r.slowly(10 * time.Millisecond)
	p := r.start("run", "job.yaml")
	r.eventually("something accepted", func() bool { return len(r.server.Requests()) > 3 })
	p.signal(os.Kill)
	p.exit()
	r.kills++
	if err := os.WriteFile(path, []byte(customer+"\n"), 0o600); err != nil {
		r.Fatal(err)
	}
	listed := time.Now()
	r.server.Fault(nil)
	r.again()
	if n := r.sentSince(listed, customer); n > 0 {
		r.Errorf("%d events of a suppressed customer were sent after that was said", n)
	}
	r.oracle.withhold(customer, r.server.Accepted())
	// What of them was accepted right before the kill is in no ledger.
	r.checkDelivery()
}

// sentSince is how many events of a customer were sent since then and accepted.
func (r *rig) sentSince(then time.Time, customer string) (n int) {
	for e := range maps.Values(r.server.Accepted()) {
		for _, at := range e.SentAt {
			if at.After(then) && strings.Contains(string(e.JSON), `"userId":"`+customer+`"`) {
				n++
			}
		}
	}
	return n
}

// floodOfRejects: a mapping is wrong for most rows, and is mended.
func floodOfRejects(r *rig) {
	r.table().exec(r.T, `UPDATE chats SET role = 'x' || role WHERE hashtext(chat) % 10 < 6`)
	for range 2 {
		r.run(jobs.ExitRejects)
	}
	if n, all := len(r.server.Accepted()), len(r.oracle.expected); n > all/2 {
		r.Errorf("%d of %d events were sent before the run halted", n, all)
	}
	r.table().exec(r.T, `UPDATE chats SET role = substr(role, 2), changed_at = now() WHERE role LIKE 'x%'`)
	r.settings["rejects"] = "{max: {rows: 100%, conversations: 100%}}"
	r.write()
	r.parted = true
	r.heal()
}

// everything breaks at once.
func everything(r *rig) {
	for range 3 {
		r.misbehave()
		stop := func() {}
		if r.combination.source == inPostgres {
			stop = r.terminating(r.table())
		}
		r.interrupt(func(random *rand.Rand) os.Signal {
			return []os.Signal{os.Kill, os.Kill, syscall.SIGTERM, syscall.SIGCONT}[random.IntN(4)]
		})
		stop()
		r.check()
		r.next()
	}
	r.heal()
}

// misbehave lets the server do something else with every other request.
func (r *rig) misbehave() {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(r.seed, uint64(r.phase)))
	r.server.Fault(func(q segmenttest.Request) segmenttest.Answer {
		mu.Lock()
		defer mu.Unlock()
		switch random.IntN(12) {
		case 0:
			return segmenttest.Status(500)
		case 1:
			r.unsaid.Add(int64(len(q.IDs)))
			return segmenttest.LoseAnswer()
		case 2:
			return segmenttest.Throttle("0")
		case 3, 4:
			return segmenttest.Answer{After: time.Duration(random.IntN(150)) * time.Millisecond}
		}
		return segmenttest.Answer{}
	})
}
