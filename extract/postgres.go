package extract

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// PostgresConfig says what a Postgres source reads.
type PostgresConfig struct {
	DSN           string // a secret: it is in no error and no log
	Messages      []Set
	Conversations []Set
	Agents        []Set
	Lookups       map[string]Lookup // what expressions can look up, by name
	Extra         []ExtraField
	Settle        time.Duration    // how old a row has to be to be read
	Overlap       time.Duration    // how far a pass looks back behind the end of the one before
	Page          int              // conversations read at a time; 0: 2000
	PageBytes     int64            // what a page takes in memory; a larger conversation is a page of its own; 0: 64 MiB
	Memory        int64            // a conversation that takes more than an eighth of it is rejected; 0: 256 MB
	Tmp           string           // where long lists of ids go; empty: the system's folder
	Now           func() time.Time // the run's clock; nil: time.Now
	KeepPayload   bool             // rejects carry the row's mapped columns
	AllowSlow     bool             // read also where an index is missing: see [Postgres.Explain]
	Log           *slog.Logger     // warnings; nil: none
}

const (
	defaultPage      = 2000
	defaultPageBytes = 64 << 20
)

// Postgres is a source of transcripts in a Postgres database. Its tables and
// queries, their columns and the mappings have been checked. It is read in
// short read-only transactions; nothing is held open between them.
type Postgres struct {
	cfg      PostgresConfig
	pool     *pgxpool.Pool
	log      *slog.Logger
	messages []*pgRelation
	others   []*pgRelation // of the conversations sets
	agents   []*pgRelation
	rejects  []Reject // rows of the directory
	tables   lookups  // what the lookups hold

	policy   retryPolicy // tests set these
	grace    time.Duration
	slowRows float64
	maxStray int
}

// zeroDay is any day: statements that are only looked at need one.
var zeroDay = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// OpenPostgres connects, resolves all tables and queries, compiles the mappings
// and reads the lookups. It reports all mistakes at once: the error joins
// [MappingError]s.
// If the database cannot be reached for now it is a [SourceUnavailable], if it
// never can be a [ConnectionError]. The source has to be closed.
func OpenPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	p, err := connectPostgres(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := p.open(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// connectPostgres connects to a database of which no set has been opened.
func connectPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	cfg.setDefaults()
	pool, err := newPool(ctx, cfg.DSN, logger(cfg.Log))
	if err != nil {
		return nil, err
	}
	cfg.DSN = ""
	p := &Postgres{
		cfg: cfg, pool: pool, log: logger(cfg.Log), tables: lookups{},
		policy: defaultRetry, grace: answerGrace, slowRows: defaultSlowRows, maxStray: maxStrays,
	}
	if err := p.fault(ConnectFault(p.pool.Ping(ctx))); err != nil {
		p.Close()
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	return p, nil
}

func (cfg *PostgresConfig) setDefaults() {
	if cfg.Page <= 0 {
		cfg.Page = defaultPage
	}
	if cfg.PageBytes <= 0 {
		cfg.PageBytes = defaultPageBytes
	}
	if cfg.Memory <= 0 {
		cfg.Memory = defaultMemory
	}
	if cfg.Tmp == "" {
		cfg.Tmp = os.TempDir()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
}

func (p *Postgres) open(ctx context.Context) (err error) {
	o := pgOpener{Postgres: p, latest: latestAt(p.cfg.Now()), lookups: p.tables}
	pending, err := o.openLookups(ctx, p.cfg.Lookups)
	if err != nil {
		return err
	}
	if p.messages, err = o.sets(ctx, SetMessages, p.cfg.Messages, messageFields, p.cfg.Extra); err != nil {
		return err
	}
	if p.others, err = o.sets(ctx, SetConversations, p.cfg.Conversations, conversationFields, nil); err != nil {
		return err
	}
	if p.agents, err = o.sets(ctx, SetAgents, p.cfg.Agents, agentFields, nil); err != nil {
		return err
	}
	if len(p.cfg.Messages) == 0 {
		o.errs = append(o.errs, &MappingError{Set: SetMessages, Problem: "there is no such set", Try: "name the table of the messages"})
	}
	for _, l := range pending {
		if err := o.compileLookup(ctx, l); err != nil {
			return err
		}
	}
	if len(o.errs) > 0 {
		return errors.Join(o.errs...)
	}
	for _, l := range pending {
		if err := p.loadLookup(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// Close ends all connections. Readers must have been closed.
func (p *Postgres) Close() { p.pool.Close() }

// relations are those that conversations are read from, messages first.
func (p *Postgres) relations() []*pgRelation { return slices.Concat(p.messages, p.others) }

// Incremental reports whether a pass can select conversations by what changed:
// whether every set of messages and conversations maps changed_at to a column
// that can be compared with a time. If not, every pass reads everything.
func (p *Postgres) Incremental() bool {
	return !slices.ContainsFunc(p.relations(), func(r *pgRelation) bool { return r.changed == nil })
}

// RowCount is about how many rows of messages there are according to the
// database's statistics; 0 if they do not say.
func (p *Postgres) RowCount() int64 {
	rows := 0.0
	for _, r := range p.messages {
		if r.rows <= 0 {
			return 0
		}
		rows += r.rows
	}
	return int64(rows)
}

// PostgresPass is a pass over a Postgres source.
type PostgresPass struct {
	Pass
	*Postgres
	family string // of the ids, if pages can follow an index; else empty
}

// Pass returns the source as it is read in a pass. It reads everything if the
// source is not [Postgres.Incremental].
func (p *Postgres) Pass(pass Pass) *PostgresPass {
	pass.Full = pass.Full || pass.Lower == 0 || !p.Incremental()
	all := p.relations()
	family := all[0].id.family
	for _, r := range all {
		if !r.table || r.id.family != family || r.prefix != all[0].prefix || !pass.Full || pass.Shard.Of > 1 {
			family = ""
		}
	}
	return &PostgresPass{Pass: pass, Postgres: p, family: family}
}

// Horizon is the time up to which the pass shows rows.
func (p *PostgresPass) Horizon() Time { return p.Upper }

// Version is empty: a database cannot tell whether there is something new.
func (p *PostgresPass) Version() string { return "" }
