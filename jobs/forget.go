package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/transform"
)

// Subjects are whom a deletion request is about.
type Subjects struct {
	UserIDs       []string `json:"user_ids,omitempty"`
	AnonymousIDs  []string `json:"anonymous_ids,omitempty"`
	Conversations []string `json:"conversations,omitempty"` // of customers who have no id
}

// subjects returns them as the suppress list has them.
func (s *Subjects) subjects() map[subject]bool {
	all := make(map[subject]bool)
	for _, id := range slices.Concat(s.UserIDs, s.AnonymousIDs) {
		all[subjectOf(id)] = true
	}
	for _, id := range s.Conversations {
		all[subjectOf(transform.ConversationSubject(id))] = true
	}
	return all
}

// Forgotten is what a job knows of the subjects of a deletion request.
type Forgotten struct {
	Conversations []ForgottenConversation `json:"conversations"` // of the source
	Events        int                     `json:"events"`        // of them that were sent
	Rejects       int                     `json:"rejects"`       // of them, which are deleted
	UserIDs       []string                `json:"user_ids"`      // that the events have
	AnonymousIDs  []string                `json:"anonymous_ids"`
}

// ForgottenConversation is a conversation of a subject.
type ForgottenConversation struct {
	ID     string           `json:"id"`
	Events []ForgottenEvent `json:"events"` // that were sent
	// Unknown is how many more were sent that the source does not have any more.
	Unknown int `json:"unknown,omitempty"`
}

// ForgottenEvent is an event that was sent.
type ForgottenEvent struct {
	MessageID string    `json:"messageId"`
	Event     string    `json:"event"`
	Timestamp time.Time `json:"timestamp"`
	// Revised are the ids under which it may have been sent again on purpose.
	Revised []string `json:"revised,omitempty"`
}

// ExecuteForget finds what was sent of the subjects, which it derives from the
// source, for the store does not know whose conversations it has. Then it asks
// confirm, adds the subjects to the suppress list of the store, and deletes the
// rejects and due notes of their conversations.
func ExecuteForget(ctx context.Context, e Execution, who Subjects, confirm func(Forgotten) error) error {
	return WithLease(ctx, e.Spec, e.Log, func(ctx context.Context, l *Lease) error {
		found, err := e.findSubjects(ctx, l.job, who)
		if err != nil {
			return classify(err)
		}
		theirs := make(map[string]bool)
		for i := range found.Conversations {
			theirs[found.Conversations[i].ID] = true
		}
		rejects, err := l.job.rejectsOf(ctx, who, theirs)
		if err != nil {
			return err
		}
		found.Rejects = len(rejects)
		if err := confirm(found); err != nil {
			return err
		}
		return l.forget(ctx, who.subjects(), theirs, rejects)
	})
}

// finder looks for the conversations of the subjects of a deletion request.
type finder struct {
	Forgotten
	deriving  *transform.Builder // derives their events, whatever keeps these from being sent
	revisions []int
	horizon   extract.Time
	users     map[string]bool
	anonymous map[string]bool
}

func (e *Execution) findSubjects(ctx context.Context, job *JobState, who Subjects) (Forgotten, error) {
	r, err := e.newRun(ctx, job)
	if err != nil {
		return Forgotten{}, err
	}
	defer r.Source.Close()
	if len(who.UserIDs)+len(who.AnonymousIDs) == 0 {
		r.Select = &Selection{Conversations: make(map[string]bool)}
		for _, id := range who.Conversations {
			r.Select.Conversations[id] = true
		}
	}
	if err := r.recall(ctx); err != nil {
		return Forgotten{}, err
	}
	from, err := r.fromStart(ctx)
	if err != nil {
		return Forgotten{}, err
	}
	f := &finder{Forgotten: Forgotten{Conversations: []ForgottenConversation{}}, horizon: from.Upper, users: make(map[string]bool), anonymous: make(map[string]bool)}
	if f.revisions, err = job.revisions(ctx); err != nil {
		return Forgotten{}, err
	}
	all := r.Options
	all.Suppressed, all.HoldRejected, all.Final, all.Identity = nil, false, true, transform.AnonymousID
	if f.deriving, err = transform.NewBuilder(all); err != nil {
		return Forgotten{}, err
	}
	listed := who.subjects()
	r.Options.Suppressed = func(id string) bool { return listed[subjectOf(id)] }
	p, err := r.newPass(newPlanner(), from)
	if err != nil {
		return Forgotten{}, err
	}
	p.examine = f.examine
	err = p.read(ctx, "")
	f.UserIDs, f.AnonymousIDs = slices.Sorted(maps.Keys(f.users)), slices.Sorted(maps.Keys(f.anonymous))
	return f.Forgotten, err
}

func (f *finder) examine(t *extract.Transcript, c *transform.Conversation, delivered Delivered) {
	if !c.Suppressed {
		return
	}
	tally := transform.NewTally()
	whole := f.deriving.Build(t, transform.Known{Start: delivered.Start, Horizon: f.horizon}, &tally)
	found := ForgottenConversation{ID: c.ID, Unknown: len(delivered.Events), Events: []ForgottenEvent{}}
	for i := range whole.Events {
		e := &whole.Events[i]
		if _, sent := delivered.Events[e.Key]; !sent {
			continue
		}
		found.Unknown--
		found.Events = append(found.Events, f.event(e))
	}
	f.Events += len(delivered.Events)
	f.Conversations = append(f.Conversations, found)
}

func (f *finder) event(e *transform.Event) ForgottenEvent {
	if e.UserID != "" {
		f.users[e.UserID] = true
	}
	if e.AnonymousID != "" {
		f.anonymous[e.AnonymousID] = true
	}
	sent := ForgottenEvent{MessageID: e.ID.String(), Event: e.Name.String(), Timestamp: e.Timestamp.Time()}
	for _, revision := range f.revisions {
		sent.Revised = append(sent.Revised, e.ID.Revised(revision).String())
	}
	return sent
}

// rejectsOf returns the rejects, of whatever state, of conversations, and those
// of rows that name a subject. It adds the conversations of these rows: where no
// row of a customer can be read, nothing else tells whose the conversation is.
func (j *JobState) rejectsOf(ctx context.Context, who Subjects, conversations map[string]bool) ([]int64, error) {
	all, err := j.Rejects(ctx, "")
	if err != nil {
		return nil, err
	}
	ids := slices.Concat(who.UserIDs, who.AnonymousIDs)
	named := make(map[int64]bool)
	for i := range all {
		if r := &all[i]; names(r.Payload, ids) {
			named[r.ID] = true
			if r.ConversationID != "" {
				conversations[r.ConversationID] = true
			}
		}
	}
	var found []int64
	for i := range all {
		if r := &all[i]; named[r.ID] || conversations[r.ConversationID] {
			found = append(found, r.ID)
		}
	}
	return found, nil
}

// names reports whether a value of a payload is one of the ids.
func names(payload string, ids []string) bool {
	decoder := json.NewDecoder(strings.NewReader(payload))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return false // it is at its end
		}
		if slices.Contains(ids, fmt.Sprint(token)) {
			return true
		}
	}
}

// forget adds subjects to the suppress list, and deletes rejects and the due
// notes of conversations. The ledger keeps what was sent: that stays true. What is
// deleted is overwritten where the store can do that.
func (l *Lease) forget(ctx context.Context, who map[subject]bool, conversations map[string]bool, rejects []int64) error {
	j := l.job
	err := j.transact(ctx, func(tx *sql.Tx) error {
		if err := l.hold(ctx, tx); err != nil {
			return err
		}
		if j.dialect.erasing != "" {
			if _, err := tx.ExecContext(ctx, j.dialect.erasing); err != nil {
				return err
			}
		}
		for s := range who {
			_, err := tx.ExecContext(ctx, `INSERT INTO suppressed (name, subject, added_at) VALUES ($1, $2, `+j.dialect.now+`)
				ON CONFLICT (name, subject) DO NOTHING`, j.Name, s[:])
			if err != nil {
				return err
			}
		}
		for _, id := range rejects {
			if _, err := tx.ExecContext(ctx, `DELETE FROM rejects WHERE id = $1`, id); err != nil {
				return err
			}
		}
		over := make(map[string]extract.Time)
		for id := range conversations {
			over[id] = 0
		}
		return j.writeDue(ctx, tx, over)
	})
	if err == nil && j.dialect.erased != "" {
		_, err = j.db.ExecContext(ctx, j.dialect.erased)
	}
	if err != nil {
		return fmt.Errorf("forget a customer of job %s: %w", j.Name, err)
	}
	return nil
}
