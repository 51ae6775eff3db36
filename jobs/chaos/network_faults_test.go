package chaos

import (
	"strings"
	"sync"
	"time"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// throughProxies leads all connections of the program through proxies.
func (r *rig) throughProxies() []*proxy {
	r.Helper()
	p, url := through(r.T, r.server.URL)
	r.settings["destination"] = r.segment(url)
	r.write()
	return append(r.databasesThroughProxies(), p)
}

// databasesThroughProxies leads the connections to databases through proxies.
func (r *rig) databasesThroughProxies() (all []*proxy) {
	r.Helper()
	for name, value := range r.env {
		if strings.HasPrefix(value, "postgres://") {
			var p *proxy
			p, r.env[name] = through(r.T, value)
			all = append(all, p)
		}
	}
	return all
}

// slowNetwork: everything is far away, and now and then a connection breaks.
func slowNetwork(r *rig) {
	r.command(jobs.ExitDone, "state", "migrate", "job.yaml") // in many steps
	proxies := r.throughProxies()
	for _, p := range proxies {
		p.delay.Store(int64(50 * time.Millisecond)) // there, and back again
		p.odds.Store(100)
	}
	// Whether an answer was on the connection that broke nobody knows.
	r.unsaid.Store(1 << 30)
	stop := r.watch()
	r.again()
	stop()
	r.check()
}

// networkFallsSilent: on the connections that there are nothing arrives any more,
// in either direction, and nobody closes them. New ones are good.
func networkFallsSilent(r *rig) {
	proxies := r.throughProxies()
	var once sync.Once
	r.server.Fault(func(q segmenttest.Request) segmenttest.Answer {
		if q.N > 3 {
			once.Do(func() {
				for _, p := range proxies {
					p.fallSilent()
				}
			})
		}
		return segmenttest.Answer{}
	})
	r.unsaid.Store(1 << 30) // what is in flight is accepted, and nobody hears it
	stop := r.watch()
	p := r.start("run", "job.yaml")
	if code := p.exit(); code != jobs.ExitDone {
		r.Errorf("seed %d: exit %d\n%s", r.seed, code, p.output.String())
	}
	stop()
	for _, p := range proxies {
		if p.silent.Load() == 0 {
			r.Fatal("no connection fell silent")
		}
		p.closeAll()
	}
	r.heal()
}

// failover: the server with the rows, and that with the state, is gone in the
// middle of a run; its standby takes over, and has all that was committed.
func failover(r *rig) {
	primary := postgrestest.Start(r.T)
	standby := primary.Standby(r.T)
	r.moveTo(primary.DSN())
	// From here on nothing is committed that the standby does not have.
	for _, query := range []string{`ALTER SYSTEM SET synchronous_standby_names = '*'`, `SELECT pg_reload_conf()`} {
		r.table().exec(r.T, query)
	}
	proxies := r.databasesThroughProxies()
	p := r.startSending(3)
	primary.Stop(r.T)
	standby.Promote(r.T)
	r.lookAt(standby.DSN())
	for _, p := range proxies {
		p.to.Store(standby.Address())
	}
	if code := p.exit(); code != jobs.ExitDone && code != jobs.ExitInterrupted {
		r.Fatalf("seed %d: exit %d\n%s", r.seed, code, p.output.String())
	}
	r.again()
	r.check()
	r.next()
	r.heal()
}

// moveTo puts the rows, and the state if it is in Postgres, on another server.
func (r *rig) moveTo(dsn string) {
	r.Helper()
	table := newPostgresTable(r.T, dsn, "CHAOS_SOURCE")
	table.add(r.T, r.oracle.rows)
	r.source = table
	for name := range r.env {
		if name == "CHAOS_SOURCE" || name == "CHAOS_STATE" {
			r.env[name] = withPassword(r.T, dsn)
		}
	}
	r.lookAt(dsn)
}

// lookAt lets the tests find there what moveTo has put on a server.
func (r *rig) lookAt(dsn string) {
	r.Helper()
	r.table().admin, r.table().db = dsn, connect(r.T, dsn)
	if r.combination.store == inPostgres {
		r.store.db = connect(r.T, dsn)
	}
}
