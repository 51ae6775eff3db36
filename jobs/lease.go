package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load/failpoint"
)

// How a lease is kept: it runs out leaseTTL after its last renewal, and nothing
// is sent when that was longer than leaseGrace ago, so that whoever takes over
// finds everything that the owner before sent.
const (
	leaseTTL   = 30 * time.Second
	leaseRenew = 10 * time.Second
	leaseGrace = 20 * time.Second
)

// lastWord is how long what is said to the store when a run ends may take.
const lastWord = 5 * time.Second

// errFenced is returned when the lease has another owner.
var errFenced = &Error{Exit: ExitTakenOver, Err: errors.New("another process took over this job"), Try: "nothing: what it was sending is recorded, the other process goes on"}

// Lease is the right to write the state of a job's shard. Its epoch grows with
// each owner; whatever is written names it, and is not written when it is no
// longer the current one.
type Lease struct {
	job   *JobState
	shard string
	epoch int64
	log   *slog.Logger

	mu      sync.Mutex
	renewed time.Time       // by this process's monotonic clock
	leased  context.Context // ends when the run is to end, or the lease is lost
	cancel  context.CancelCauseFunc
	stopped chan struct{}
}

// Holder is who holds a lease.
type Holder struct {
	Host  string
	PID   int
	Since time.Time

	Expires time.Time // unless it is renewed; on the store's clock
}

// heldError is returned when another run holds the lease.
func heldError(job string, h Holder) error {
	return &Error{
		Exit: ExitLeaseHeld,
		Err:  fmt.Errorf("job %s is being run by process %d on %s since %s", job, h.PID, h.Host, h.Since.UTC().Format(time.RFC3339)),
		Try:  "wait for it, as run --if-running wait does, or stop it",
	}
}

// Acquire takes the lease of a shard unless somebody else holds it. The context
// it returns ends, with the cause, when the lease is lost.
func (j *JobState) Acquire(ctx context.Context, shard string, log *slog.Logger) (context.Context, *Lease, error) {
	me, err := thisProcess()
	if err != nil {
		return nil, nil, err
	}
	l := &Lease{job: j, shard: shard, log: log, renewed: time.Now(), stopped: make(chan struct{})}
	gone, err := j.goneOwner(ctx, shard, me)
	if err != nil {
		return nil, nil, err
	}
	now := j.dialect.now
	failpoint.At("lease-before")
	err = j.db.QueryRowContext(ctx, `
		INSERT INTO leases (job_id, shard, epoch, owner, host, pid, taken_at, expires_at)
		VALUES ($1, $2, 1, $3, $4, $5, `+now+`, `+now+` + $6)
		ON CONFLICT (job_id, shard) DO UPDATE SET epoch = leases.epoch + 1, owner = excluded.owner, host = excluded.host,
			pid = excluded.pid, taken_at = excluded.taken_at, expires_at = excluded.expires_at
		WHERE leases.expires_at <= `+now+` OR leases.owner = $7
		RETURNING epoch`,
		j.id, shard, me.owner(), me.host, me.pid, leaseTTL.Milliseconds(), gone).Scan(&l.epoch)
	if errors.Is(err, sql.ErrNoRows) {
		holder, err := j.holder(ctx, shard)
		if err != nil {
			return nil, nil, err
		}
		return nil, nil, heldError(j.Name, holder)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("take the lease of job %s: %w", j.Name, err)
	}
	failpoint.At("lease-taken")
	l.leased, l.cancel = context.WithCancelCause(ctx)
	go l.keep(l.leased)
	return l.leased, l, nil
}

// goneOwner returns the owner of the lease if it is a process of this machine
// that has ended, else "".
func (j *JobState) goneOwner(ctx context.Context, shard string, me process) (string, error) {
	var owner string
	err := j.db.QueryRowContext(ctx, `SELECT owner FROM leases WHERE job_id = $1 AND shard = $2`, j.id, shard).Scan(&owner)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the lease of job %s: %w", j.Name, err)
	}
	if me.knowsGone(owner) {
		return owner, nil
	}
	return "", nil
}

func (j *JobState) holder(ctx context.Context, shard string) (Holder, error) {
	var h Holder
	var taken, expires int64
	err := j.db.QueryRowContext(ctx, `SELECT host, pid, taken_at, expires_at FROM leases WHERE job_id = $1 AND shard = $2`, j.id, shard).
		Scan(&h.Host, &h.PID, &taken, &expires)
	if err != nil {
		return h, fmt.Errorf("read the lease of job %s: %w", j.Name, err)
	}
	h.Since, h.Expires = time.UnixMilli(taken), time.UnixMilli(expires)
	return h, nil
}

// keep renews the lease until ctx ends.
func (l *Lease) keep(ctx context.Context) {
	defer close(l.stopped)
	if err := extract.Contain(func() error { return l.renewing(ctx) }); err != nil {
		l.cancel(err)
	}
}

// renewing returns errFenced when the lease has another owner.
func (l *Lease) renewing(ctx context.Context) error {
	tick := time.NewTicker(leaseRenew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := l.renew(ctx)
		if errors.Is(err, errFenced) {
			return errFenced
		}
		if err != nil && ctx.Err() == nil {
			l.log.Warn("cannot renew the lease; nothing is sent until it can", "job", l.job.Name, "error", err)
		}
	}
}

// renew proves that the lease is still ours, for another leaseTTL.
func (l *Lease) renew(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, leaseRenew)
	defer cancel()
	result, err := l.job.db.ExecContext(ctx, `UPDATE leases SET expires_at = `+l.job.dialect.now+` + $4
		WHERE job_id = $1 AND shard = $2 AND epoch = $3`, l.job.id, l.shard, l.epoch, leaseTTL.Milliseconds())
	if err != nil {
		return fmt.Errorf("renew the lease of job %s: %w", l.job.Name, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(errFenced, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = began
	return nil
}

// Permit returns nil when a batch may be sent: the lease was renewed a short
// while ago. Otherwise it renews it, and waits until that succeeds, but not for
// longer than storePatience.
func (l *Lease) Permit(ctx context.Context) error {
	for began := time.Now(); ; {
		l.mu.Lock()
		fresh := time.Since(l.renewed) < leaseGrace
		l.mu.Unlock()
		if fresh {
			return nil
		}
		err := l.renew(ctx)
		if err == nil || errors.Is(err, errFenced) {
			return err
		}
		if time.Since(began) > storePatience {
			return unavailable(err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// Release gives the lease back, if it is still ours.
func (l *Lease) Release(ctx context.Context) error {
	l.cancel(context.Canceled)
	<-l.stopped
	failpoint.At("lease-release")
	ctx, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	_, err := l.job.db.ExecContext(ctx, `UPDATE leases SET expires_at = 0, owner = '' WHERE job_id = $1 AND shard = $2 AND epoch = $3`,
		l.job.id, l.shard, l.epoch)
	if err != nil {
		return fmt.Errorf("release the lease of job %s: %w", l.job.Name, l.job.outage(err))
	}
	return nil
}
