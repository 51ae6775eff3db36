package extract

// Pass is what one sweep over a source looks at. A conversation that it looks
// at is read whole.
type Pass struct {
	// Lower and Upper bound what changed in Postgres: conversations with a change
	// at or after Lower and before Upper, or at a time that is not known, are
	// looked at, and messages sent at or after Upper are left for a later pass. If
	// both are the same time, nothing changed, in Parquet neither.
	Lower, Upper Time
	// Known are the files that the last finished pass over Parquet had, as they
	// were then: what stands in any other is looked at. Without them, everything is.
	Known []File

	Due  []string // conversations to be looked at, changed or not
	Full bool     // look at all conversations; in Postgres so does a pass without Lower

	// DueSince is a time at or after which each of Due has a message; 0: none is
	// known.
	DueSince Time
	// Rejected are conversations of which something was rejected, so that their
	// start may not have been delivered.
	Rejected []string

	// From and Until make a pass over Parquet look at the conversations with a
	// message or an end in between, Until excluded. Both 0: wherever they are.
	From, Until Time

	Shard Shard // look at the conversations of this one only
}

// selects reports whether the pass looks at conversations by the time of their
// rows.
func (p *Pass) selects() bool { return p.From != 0 || p.Until != 0 }

// covers reports whether a time is one that the pass selects.
func (p *Pass) covers(at Time) bool { return at >= p.From && (p.Until == 0 || at < p.Until) }
