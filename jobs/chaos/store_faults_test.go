package chaos

import (
	"bytes"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/jobs/processtest"
)

// zombie: a run is suspended for longer than its lease lasts; another takes over
// and goes on; then the first one wakes up.
func zombie(r *rig) {
	arrived, release := r.hold()
	first := r.start("run", "job.yaml")
	<-arrived
	processtest.Suspend(r.T, first.Process)
	release() // what it had sent is accepted; it does not know
	r.kills++
	stop := r.watch()
	r.run(jobs.ExitDone, "--if-running", "wait", "--wait-for", "2m")
	stop()
	first.signal(syscall.SIGCONT)
	if code := first.exit(); code != jobs.ExitTakenOver {
		r.Fatalf("the first run: exit %d\n%s", code, first.output.String())
	}
	r.ended(jobs.ExitTakenOver)
	r.again()
	r.check()
}

// ended checks that a run is recorded with an exit code.
func (r *rig) ended(code int) {
	r.Helper()
	var n int
	r.store.query(r.T, &n, `SELECT count(*) FROM `+r.store.schema+`runs WHERE exit_code = $1`, code)
	if n == 0 {
		r.Errorf("no run is recorded with exit %d", code)
	}
}

// manyAtOnce: ten runs of one job are started at once; then the one that runs is
// killed.
func manyAtOnce(r *rig) {
	arrived, release := r.hold()
	var all []*process
	for range 10 {
		all = append(all, r.start("run", "job.yaml"))
	}
	<-arrived
	var mu sync.Mutex
	var wg sync.WaitGroup
	held := 0
	for _, p := range all {
		wg.Go(func() {
			code := p.exit()
			mu.Lock()
			defer mu.Unlock()
			switch code {
			case jobs.ExitLeaseHeld:
				if held++; held == len(all)-1 {
					for _, p := range all { // of those that have ended it is no more
						p.signal(os.Kill)
					}
				}
			case killed:
				r.kills++
			default:
				r.Errorf("exit %d\n%s", code, p.output.String())
				release()
			}
		})
	}
	wg.Wait()
	release()
	if held != len(all)-1 || r.kills != 1 {
		r.Fatalf("%d runs were told that another holds the lease, %d were killed", held, r.kills)
	}
	// Its process is gone: nobody waits for the lease to run out.
	r.server.Fault(nil)
	r.run(jobs.ExitDone)
	r.check()
}

// storeAway: the server with the state crashes in the middle of a run, and comes
// back.
func storeAway(r *rig) {
	server := postgrestest.Start(r.T)
	r.env["CHAOS_STATE"] = withPassword(r.T, server.DSN())
	r.store.db = connect(r.T, server.DSN())
	p := r.startSending(6)
	server.Stop(r.T)
	// It is away until the run says that it cannot write.
	time.Sleep(time.Second)
	server.Start(r.T)
	if code := p.exit(); code != jobs.ExitDone && code != jobs.ExitInterrupted {
		r.Fatalf("exit %d\n%s", code, p.output.String())
	}
	r.again()
	r.check()
}

// commitsUnanswered: the state store commits, and the connection breaks before
// it can say so.
func commitsUnanswered(r *rig) {
	var p *proxy
	p, r.env["CHAOS_STATE"] = through(r.T, r.env["CHAOS_STATE"])
	r.command(jobs.ExitDone, "state", "migrate", "job.yaml")
	p.commits.Store(3)
	stop := r.watch()
	r.again()
	stop()
	if p.cuts.Load() == 0 {
		r.Fatal("no commit was cut off")
	}
	r.check()
}

// storeLocked: another process holds the state store's file for some seconds.
func storeLocked(r *rig) {
	r.command(jobs.ExitDone, "state", "migrate", "job.yaml")
	path := filepath.Join(r.dir, "state.db")
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: path, RawQuery: "_txlock=exclusive"}).String())
	if err != nil {
		r.Fatal(err)
	}
	defer db.Close()
	arrived, release := r.hold()
	p := r.start("run", "job.yaml")
	<-arrived
	tx, err := db.Begin()
	if err != nil {
		r.Fatal(err)
	}
	release()
	time.Sleep(2 * time.Second) // shorter than the program waits; the longer, the more is waiting
	if err := tx.Rollback(); err != nil {
		r.Fatal(err)
	}
	if code := p.exit(); code != jobs.ExitDone {
		r.Fatalf("exit %d\n%s", code, p.output.String())
	}
	r.check()
	storeDamaged(r)
}

// sqlite changes the state store's file as somebody else.
func (r *rig) sqlite(query string, args ...any) {
	r.Helper()
	db, err := sql.Open("sqlite", filepath.Join(r.dir, "state.db"))
	if err != nil {
		r.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query, args...); err != nil {
		r.Fatal(err)
	}
}

// storeDamaged: the state store's file is no database any more. Nothing is ever
// begun anew over it.
func storeDamaged(r *rig) {
	path := filepath.Join(r.dir, "state.db")
	r.sqlite("PRAGMA wal_checkpoint(TRUNCATE)") // all there is is in the file
	sound, err := os.ReadFile(path)
	if err != nil {
		r.Fatal(err)
	}
	for _, from := range []int{0, 100} {
		damaged := bytes.Clone(sound)
		copy(damaged[from:], strings.Repeat("x", 4000))
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			r.Fatal(err)
		}
		p := r.start("run", "job.yaml")
		if code := p.exit(); code == jobs.ExitDone {
			r.Errorf("damaged from byte %d: exit %d\n%s", from, code, p.output.String())
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now[:4096], damaged[:4096]) {
			r.Errorf("the damaged file was written to: %v", err)
		}
	}
	for _, path := range []string{path + "-wal", path + "-shm"} {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			r.Fatal(err)
		}
	}
	if err := os.WriteFile(path, sound, 0o600); err != nil {
		r.Fatal(err)
	}
	r.next()
	r.heal()
}

// manyMigrate: many processes find an empty state store at once, and one of them
// is killed.
func manyMigrate(r *rig) {
	var all []*process
	for range 8 {
		all = append(all, r.start("state", "migrate", "job.yaml"))
	}
	time.Sleep(time.Duration(r.random.IntN(60)) * time.Millisecond)
	all[0].signal(os.Kill)
	for i, p := range all {
		if code := p.exit(); code != jobs.ExitDone && (i > 0 || code != killed) {
			r.Errorf("exit %d\n%s", code, p.output.String())
		}
	}
	r.run(jobs.ExitDone)
	r.check()
}

// settingsChanged: what is read, or what it becomes, is not what the job ran
// with.
func settingsChanged(r *rig) {
	r.run(jobs.ExitDone)
	r.check()
	for key, value := range map[string]string{
		"namespace":    "another",
		"conversation": "{wait_for_agent: 0s, bots: exclude}",
		"source":       strings.Replace(r.source.yaml(), "author_id: author", "author_id: author_name", 1),
		"ledger":       "off",
	} {
		was, given := r.settings[key]
		r.settings[key] = value
		r.write()
		r.run(jobs.ExitDiffers)
		if r.settings[key] = was; !given {
			delete(r.settings, key)
		}
	}
	r.settings["drain"] = "3s" // of which nothing follows
	r.next()
	r.heal()
}

// shards: the source is read in parts, by several processes at once; one of them
// is killed.
func shards(r *rig) {
	r.parted = true
	r.slowly(30 * time.Millisecond)
	parts := []string{"0/3", "1/3", "2/3"}
	var all []*process
	for _, part := range append(parts, parts[0]) {
		all = append(all, r.start("run", "job.yaml", "--shard", part, "--if-running", "wait"))
	}
	time.AfterFunc(time.Duration(r.random.Int64N(int64(time.Second))), func() { all[1].signal(os.Kill) })
	for _, p := range all {
		switch code := p.exit(); code {
		case jobs.ExitDone:
		case killed:
			r.kills++
		default:
			r.Fatalf("exit %d\n%s", code, p.output.String())
		}
	}
	if r.kills > 0 {
		r.run(jobs.ExitDone, "--shard", parts[1])
	}
	r.compare(r.delivered())
	r.heal() // one that is not divided goes on for all
}
