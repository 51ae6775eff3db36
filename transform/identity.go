package transform

import (
	"strings"

	"github.com/chatbackfill/chatbackfill/extract"
)

// customer is a person who wrote to a conversation as a customer, or the
// conversation itself in as far as it says who its customer is.
type customer struct {
	userID      string
	anonymousID string
}

// makeReadable makes the ids what they are in events.
func (c *customer) makeReadable() {
	c.userID, c.anonymousID = readable(c.userID), readable(c.anonymousID)
}

// identities knows whose events a conversation's events are.
type identities struct {
	people []customer      // in the order of their first row
	byRow  []int           // per row: the index in people, or -1
	places index[int]      // in people, by author id
	staff  index[struct{}] // the author ids of agents and bots

	starter        int // index in people of who started the conversation, or -1
	firstUser      *customer
	firstAnonymous *customer
	said           customer
}

func (s *identities) reset(rows []row, first int, said *extract.Conversation) {
	s.people, s.byRow, s.starter = reuse(s.people), reuse(s.byRow), -1
	s.places.reset()
	s.staff.reset()
	for i := range rows {
		r := &rows[i]
		if (r.Role == extract.Agent || r.Role == extract.Bot) && s.staff.find(r.Author.ID) == nil {
			s.staff.add(r.Author.ID, struct{}{})
		}
	}
	for i := range rows {
		s.byRow = append(s.byRow, s.person(rows[i].Message))
	}
	if first >= 0 {
		s.starter = s.byRow[first]
	}
	s.settle()
	s.said = customer{userID: s.known(said.UserID), anonymousID: s.known(said.AnonymousID)}
	s.said.makeReadable()
}

// person returns the index of a row's customer, or -1. Rows with one author id
// are one person; a row without is a person of its own.
func (s *identities) person(m *extract.Message) int {
	if m.Role != extract.Customer {
		return -1
	}
	at := len(s.people)
	if place := s.places.find(m.Author.ID); place != nil {
		at = *place
	} else {
		s.people = append(s.people, customer{})
		if m.Author.ID != "" {
			s.places.add(m.Author.ID, at)
		}
	}
	p := &s.people[at]
	if p.userID == "" {
		p.userID = s.known(m.UserID)
	}
	if p.anonymousID == "" {
		p.anonymousID = s.known(m.AnonymousID)
	}
	return at
}

// known returns an id, or "" when it names nobody: a placeholder that systems
// write in place of an id, or the id of an agent or bot.
func (s *identities) known(id string) string {
	if id == "" || s.staff.find(id) != nil || isPlaceholder(id) {
		return ""
	}
	return id
}

func isPlaceholder(id string) bool {
	if len(id) > 64 {
		return blank(id)
	}
	switch strings.ToLower(strings.TrimSpace(id)) {
	case "", "null", "none", "nil", "undefined", "anonymous", "n/a", "0", "-":
		return true
	}
	return false
}

// settle finds who stands in for a person whose ids are unknown.
func (s *identities) settle() {
	s.firstUser, s.firstAnonymous = nil, nil
	for i := range s.people {
		p := &s.people[i]
		p.makeReadable()
		if s.firstUser == nil && p.userID != "" {
			s.firstUser = p
		}
		if s.firstAnonymous == nil && p.anonymousID != "" {
			s.firstAnonymous = p
		}
	}
}

// of returns the user id and anonymous id of an event whose own row is i (-1: it
// has none): those of who wrote the row, else of who started the conversation, else of the others in
// order of their first row, else of whom the conversation's own row names. Both
// are of one person: ids of two are never put together. Both are empty if
// nobody in the conversation is known.
func (s *identities) of(i int) (userID, anonymousID string) {
	writer, starter := s.writer(i), s.at(s.starter)
	for _, c := range [...]*customer{writer, starter, s.firstUser, &s.said} {
		if c != nil && c.userID != "" {
			return c.userID, c.anonymousID
		}
	}
	for _, c := range [...]*customer{writer, starter, s.firstAnonymous, &s.said} {
		if c != nil && c.anonymousID != "" {
			return "", c.anonymousID
		}
	}
	return "", ""
}

func (s *identities) writer(row int) *customer {
	if row < 0 {
		return nil
	}
	return s.at(s.byRow[row])
}

func (s *identities) at(i int) *customer {
	if i < 0 {
		return nil
	}
	return &s.people[i]
}

// any reports whether one of the ids that the rows give of customers is listed.
func (s *identities) any(rows []row, said *extract.Conversation, listed func(id string) bool) bool {
	known := func(id string) bool { id = s.known(id); return id != "" && listed(id) }
	for i := range rows {
		if r := &rows[i]; r.Role == extract.Customer && (known(r.UserID) || known(r.AnonymousID)) {
			return true
		}
	}
	return known(said.UserID) || known(said.AnonymousID)
}
