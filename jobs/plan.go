package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
	"github.com/chatbackfill/chatbackfill/transform"
)

// Plan is what a run would do.
type Plan struct {
	load.Forecast

	Tally          transform.Tally           // what would become of rows and events; those to be sent are not in it
	New            map[transform.Name]int    // events to be sent
	Customers      int                       // distinct ids among them: what Segment counts as tracked users
	Oldest, Newest time.Time                 // events to be sent
	Due            int                       // conversations that would be looked at again
	Samples        map[transform.Name][]byte // one event of each kind, as it would be sent
	Rejects        map[extract.Reason]int    // rejects by reason
	Problem        error                     // why the run would halt, or nil
}

// Total is the number of events to be sent.
func (p *Plan) Total() int {
	n := 0
	for _, k := range p.New {
		n += k
	}
	return n
}

// Duration is how long sending takes at the rate; 0 if it is unlimited.
func (p *Plan) Duration() time.Duration {
	if p.Rate <= 0 {
		return 0
	}
	return time.Duration(float64(p.Total()) / p.Rate * float64(time.Second))
}

// planner takes the chunks of a pass of which nothing is sent.
type planner struct {
	plan      Plan
	customers map[uint64]struct{}
}

func newPlanner() *planner {
	return &planner{
		plan: Plan{
			Tally: transform.NewTally(), New: make(map[transform.Name]int),
			Samples: make(map[transform.Name][]byte), Rejects: make(map[extract.Reason]int),
		},
		customers: make(map[uint64]struct{}),
	}
}

// arena returns none: samples are kept.
func (p *planner) arena() *transform.Arena { return nil }

func (p *planner) submit(_ context.Context, c *chunk) error {
	p.plan.Add(c.events)
	for _, e := range c.events {
		p.event(e)
	}
	for i := range c.rejects {
		p.plan.Rejects[c.rejects[i].Reason]++
	}
	for _, at := range c.due {
		if at != 0 {
			p.plan.Due++
		}
	}
	p.plan.Tally.Add(c.tally.Tally)
	return nil
}

func (p *planner) event(e *transform.Event) {
	p.plan.New[e.Name]++
	id := "u" + e.UserID
	if e.UserID == "" {
		id = "a" + e.AnonymousID
	}
	p.customers[xxhash.Sum64String(id)] = struct{}{}
	at := e.Timestamp.Time()
	if p.plan.Oldest.IsZero() || at.Before(p.plan.Oldest) {
		p.plan.Oldest = at
	}
	if at.After(p.plan.Newest) {
		p.plan.Newest = at
	}
	if p.plan.Samples[e.Name] == nil {
		p.plan.Samples[e.Name] = e.JSON
	}
}

func (p *planner) wait(context.Context) error {
	p.plan.Customers = len(p.customers)
	return nil
}

// Plan reads what the job's next run would read, and returns what that run
// would do at so many events a second, 0 being unlimited. It sends nothing and
// changes no state.
func (r *Run) Plan(ctx context.Context, rate float64) (Plan, error) {
	if err := r.recall(ctx); err != nil {
		return Plan{}, classify(err)
	}
	at, err := r.Job.inherit(ctx, r.Shard)
	if err != nil {
		return Plan{}, err
	}
	from, err := r.nextPass(ctx, at)
	if err != nil {
		return Plan{}, classify(err)
	}
	if at.Pass > 0 && !at.Done && r.Select == nil && !r.Full {
		from = at
		if r.files, err = r.Job.manifest(ctx, r.Shard, at.Pass); err != nil {
			return Plan{}, err
		}
	}
	planner := newPlanner()
	planner.plan.Rate = rate
	p, err := r.newPass(planner, from)
	if err != nil {
		return Plan{}, err
	}
	if err := p.read(ctx, from.Position); err != nil {
		return Plan{}, classify(err)
	}
	err = planner.wait(ctx)
	planner.plan.Problem = errors.Join(r.Limits.check(&p.counts), p.missing())
	return planner.plan, err
}
