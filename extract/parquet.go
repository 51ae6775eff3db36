package extract

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// ParquetConfig says what a Parquet source reads.
type ParquetConfig struct {
	Dir           string // what relative paths are relative to
	Messages      []Set
	Conversations []Set
	Agents        []Set
	Lookups       map[string]Lookup // what expressions can look up, by name
	Extra         []ExtraField
	Lookback      time.Duration    // no conversation lasts longer; 0: it may
	Memory        int64            // bytes that rows may take while they are grouped; 0: 256 MiB
	Tmp           string           // where what exceeds it goes; empty: the system's folder
	Now           func() time.Time // the run's clock; nil: time.Now
	KeepPayload   bool             // rejects carry the row's mapped columns
	Known         []File           // files that were read with the same settings: they are looked into only if they are read again
	Log           *slog.Logger     // told of reading that is tried again; nil: nobody

	policy retryPolicy // tests set it; zero: the default
}

// Parquet is a source of transcripts in Parquet files, local ones or in buckets.
// Its files, their footers and the mapping of their columns have been checked,
// but for those that are known.
// It has to be closed.
type Parquet struct {
	cfg      ParquetConfig
	sets     []*fileSet // of messages and of conversations
	messages []*parquetFile
	others   []*parquetFile // of the conversations sets
	agents   []*parquetFile
	lookups  []*parquetFile
	tables   lookups // what the lookups hold
	buckets  *buckets
	maxPage  int64
	rejects  []Reject // rows of the directory
	rowCount atomic.Int64

	// Tests set these.
	workers  int   // goroutines that read
	pageRows int   // messages after which a page ends
	single   int64 // bytes; a larger conversation is rejected
	unpruned bool  // all row groups are read
}

// The pages and row groups of what is called Parquet have any size. A page is
// decoded as a whole, so it has to fit into memory several times.
const minPageLimit = 128 << 20

// OpenParquet resolves the files of all sets, reads their footers, compiles
// the mappings and reads the lookups. It reports all mistakes at once: the
// error joins [MappingError]s and [FileError]s; a bucket that cannot be reached
// for a while is a [SourceUnavailable].
func OpenParquet(ctx context.Context, cfg ParquetConfig) (_ *Parquet, err error) {
	p := newParquet(cfg)
	cfg = p.cfg
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	o := opener{Parquet: p, latest: latestAt(cfg.Now())}
	if len(cfg.Lookups) == 0 { // what a lookup has to hold is known once all mappings are made
		o.known = byKey(cfg.Known)
	}
	pending := o.openLookups(ctx, cfg.Lookups)
	p.tables = o.lookups
	p.messages = o.sets(ctx, SetMessages, cfg.Messages, messageFields, cfg.Extra)
	p.others = o.sets(ctx, SetConversations, cfg.Conversations, conversationFields, nil)
	p.sets, o.known = o.opened, nil
	p.countRows()
	p.agents = o.sets(ctx, SetAgents, cfg.Agents, agentFields, nil)
	if len(cfg.Messages) == 0 {
		o.errs = append(o.errs, &MappingError{Set: SetMessages, Problem: "there is no such set", Try: "name the files of the messages"})
	}
	for _, l := range pending {
		o.compileLookup(l)
	}
	if err := o.mistakes(ctx); err != nil {
		return nil, err
	}
	for _, l := range pending {
		if err := l.load(ctx, p.maxPage); err != nil {
			return nil, err
		}
	}
	return p, ctx.Err()
}

// newParquet returns a source of which no set has been opened.
func newParquet(cfg ParquetConfig) *Parquet {
	if cfg.Memory <= 0 {
		cfg.Memory = defaultMemory
	}
	if cfg.Tmp == "" {
		cfg.Tmp = os.TempDir()
	} else if !filepath.IsAbs(cfg.Tmp) {
		cfg.Tmp = filepath.Join(cfg.Dir, cfg.Tmp)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p := &Parquet{cfg: cfg, maxPage: max(minPageLimit, cfg.Memory), workers: readers(), pageRows: pageMessages, single: largestConversation(cfg.Memory)}
	p.buckets = newBuckets(cfg.Memory, cfg.policy, cfg.Log)
	memoryAllowed.Add(cfg.Memory)
	return p
}

// memoryAllowed is that of all sources that are open.
var memoryAllowed atomic.Int64

// MemoryAllowed is the memory, in bytes, that the Parquet sources that are open may
// use for rows.
func MemoryAllowed() int64 { return memoryAllowed.Load() }

// Close ends the connections to buckets. Readers must have been closed.
func (p *Parquet) Close() error {
	memoryAllowed.Add(-p.cfg.Memory)
	p.cfg.Memory = 0 // it counts once, however often it is closed
	return p.buckets.close()
}

// RowCount is the number of rows of messages according to the footers that have
// been read. Any goroutine may call it.
func (p *Parquet) RowCount() int64 { return p.rowCount.Load() }

func (p *Parquet) countRows() {
	rows := int64(0)
	for _, f := range p.messages {
		rows += f.rows()
	}
	p.rowCount.Store(rows)
}

// Horizon is the newest modification time of the files of messages and
// conversations: what happened later is not in them.
func (p *Parquet) Horizon() (newest Time) {
	for _, files := range [...][]*parquetFile{p.messages, p.others} {
		for _, f := range files {
			newest = max(newest, TimeOf(f.modTime))
		}
	}
	return newest
}

// After is the position after a conversation, from which [Parquet.Transcripts]
// goes on with the next one.
func (p *Parquet) After(conversationID string) Position { return pointOf(conversationID).position() }

// Directory reads the directory of agents, by their ids. Of several rows with
// one id the one with the greatest ChangedAt wins, among equals that with the
// greatest fields. Rows that cannot be read are left out; see
// [Parquet.DirectoryRejects].
func (p *Parquet) Directory(ctx context.Context) (map[string]DirectoryAgent, error) {
	d := directory{agents: map[string]DirectoryAgent{}, keepPayload: p.cfg.KeepPayload}
	for _, f := range p.agents {
		if err := d.read(ctx, f, p.maxPage); err != nil {
			return nil, err
		}
	}
	p.rejects = d.rejects
	return d.agents, nil
}

// DirectoryRejects are the rows that Directory left out when it was called last.
func (p *Parquet) DirectoryRejects() []Reject { return p.rejects }

type directory struct {
	agents      map[string]DirectoryAgent
	rejects     []Reject
	keepPayload bool
}

func (d *directory) read(ctx context.Context, f *parquetFile, maxPage int64) error {
	var s Scratch
	return f.eachRow(ctx, maxPage, &s, func(group int, number int64) elementFunc {
		return func(row []Value, element int, bad *problem) error {
			r, a := d.agent(f.mapping, row, &s, bad)
			switch {
			case r != nil:
				f.locate(r, group, number, element)
				if d.keepPayload {
					r.Payload = f.mapping.payloadOf(row, &s)
				}
				d.rejects = append(d.rejects, *r)
			case a.ID != "":
				d.add(a)
			}
			return nil
		}
	})
}

// agent returns the row's agent, none if where leaves it out.
func (d *directory) agent(m *Mapping, row []Value, s *Scratch, bad *problem) (*Reject, DirectoryAgent) {
	var a DirectoryAgent
	keep := true
	if bad == nil {
		keep, bad = m.keeps(row, s)
	}
	switch {
	case bad != nil:
		return m.reject(bad, "", ""), a
	case !keep:
		return nil, a
	}
	return m.agent(row, s, &a), a
}

func (d *directory) add(a DirectoryAgent) {
	if old, ok := d.agents[a.ID]; ok && compareAgents(a, old) <= 0 {
		return
	}
	for _, text := range [...]*string{&a.ID, &a.Name, &a.Username} {
		*text = strings.Clone(*text)
	}
	d.agents[a.ID] = a
}

// eachRow opens all rows of a file, one after the other, and calls what each
// returns with what they hold.
func (f *parquetFile) eachRow(ctx context.Context, maxPage int64, s *Scratch, each func(group int, number int64) elementFunc) error {
	file, err := f.openReader(ctx, maxPage)
	if err != nil {
		return err
	}
	defer file.file.Close()
	for group := range f.groups {
		err := file.readGroup(ctx, group, func(row []Value, number int64) error {
			s.Reset()
			return f.mapping.unfold(row, s, each(group, number))
		}, func(int64) {})
		if err != nil {
			return err
		}
	}
	return f.unchanged()
}

func compareAgents(a, b DirectoryAgent) int {
	if a.ChangedAt != b.ChangedAt {
		if a.ChangedAt < b.ChangedAt {
			return -1
		}
		return +1
	}
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return strings.Compare(a.Username, b.Username)
}

func (f *parquetFile) rows() (rows int64) {
	for _, n := range f.groups {
		rows += n
	}
	return rows
}

// locate says where a rejected row is: rows count from 0 over the whole file,
// elements of a nested set within the row's list.
func (f *parquetFile) locate(r *Reject, group int, number int64, element int) {
	r.Locator = fmt.Sprintf("%s: row group %d, row %d", f.name, group, number)
	if element >= 0 {
		r.Locator += fmt.Sprintf(", %s[%d]", f.mapping.list.name, element)
	}
}

// Transcripts returns a reader of all transcripts after a position; the empty
// one is the start. The reader has to be closed.
func (p *Parquet) Transcripts(ctx context.Context, from Position) (*Reader, error) {
	return p.Pass(Pass{}).Transcripts(ctx, from)
}

// estimate guesses how many bytes the records of all rows take. Dictionaries
// make columns smaller than their records.
func (p *Parquet) estimate() (size int64) {
	for _, files := range [...][]*parquetFile{p.messages, p.others} {
		for _, f := range files {
			if f.mapping == nil { // it is not known what of it will be read
				size += f.size
			}
			size += 2*f.bytes + 64*f.rows()
		}
	}
	return size
}

func (p *Parquet) partitionBits(data int64) int {
	// A writer needs a block for each partition.
	most := bits.Len64(uint64(p.cfg.Memory / int64(p.workers) >> 14))
	return min(partitionBitsFor(p.cfg.Memory, data), most)
}
