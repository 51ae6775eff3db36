package examples

import (
	"strings"
	"time"
)

// A few chats have a row that cannot be mapped: one chat in so many, that at
// the place given.
const (
	oddRoleEvery, oddRoleAt   = 667, 400
	missingEvery, missingAt   = 1000, 777
	resyncedRows              = 0.012
	wholeSecondChats          = 0.06
	firstResync, latestResync = 6 * time.Hour, 72 * time.Hour
)

// spoil does to the rows what exports do to them.
func (c *chat) spoil() {
	if c.chance(wholeSecondChats) {
		c.wholeSeconds()
	}
	switch {
	case c.index%oddRoleEvery == oddRoleAt:
		c.message(0).AuthorType = "robot2"
	case c.index%missingEvery == missingAt:
		c.message(1).CreatedAt = nil
	default:
		c.resync()
	}
}

// message returns the comment at place n of the chat's, or the last one.
func (c *chat) message(n int) *record {
	var last *record
	for i := range c.rows {
		if c.rows[i].PartType != "comment" {
			continue
		}
		if last = &c.rows[i]; n == 0 {
			break
		}
		n--
	}
	return last
}

// wholeSeconds drops the fractions of the times, and gives rows of the same
// second ids against their order: only seq tells which came first.
func (c *chat) wholeSeconds() {
	for i := range c.rows {
		sent := *c.rows[i].CreatedAt / 1000 * 1000
		c.rows[i].CreatedAt = &sent
		if i > 0 && *c.rows[i-1].CreatedAt == sent {
			c.rows[i-1].ID, c.rows[i].ID = c.rows[i].ID, c.rows[i-1].ID
		}
	}
}

// resync adds rows a second time, as they were when they were copied again:
// the same, edited, or withdrawn.
func (c *chat) resync() {
	for _, r := range c.rows[:len(c.rows):len(c.rows)] {
		if !c.chance(resyncedRows) {
			continue
		}
		r.InsertedAt += (firstResync + time.Duration(c.rng.Int64N(int64(latestResync-firstResync)))).Milliseconds()
		if r.PartType == "comment" && r.Body != nil {
			switch c.rng.IntN(4) {
			case 0:
				edited := strings.TrimRight(*r.Body, ".!") + " (edited)"
				r.Body = &edited
			case 1:
				r.IsDeleted = true
			}
		}
		c.rows = append(c.rows, r)
	}
}
