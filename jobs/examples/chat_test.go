package examples

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// demo are the rows of the demo by chat, in order of insertion.
var demo = sync.OnceValue(func() map[int64][]record {
	chats := make(map[int64][]record)
	for r := range rows(DemoConversations, DemoSeed, nil) {
		chats[r.ChatID] = append(chats[r.ChatID], r)
	}
	return chats
})

// once leaves of rows that were synced twice the first copy, ordered by seq.
func once(chat []record) []record {
	bySeq := make(map[int32]record)
	for _, r := range chat {
		if _, ok := bySeq[r.Seq]; !ok {
			bySeq[r.Seq] = r
		}
	}
	var sorted []record
	for _, seq := range slices.Sorted(maps.Keys(bySeq)) {
		sorted = append(sorted, bySeq[seq])
	}
	return sorted
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func TestRowsAreInterleavedInOrder(t *testing.T) {
	last, switches, n := int64(0), 0, 0
	var chat int64
	for r := range rows(DemoConversations, DemoSeed, nil) {
		if r.InsertedAt < last {
			t.Fatalf("row %d was inserted before the one above it", r.ID)
		}
		if r.ChatID != chat {
			switches++
		}
		last, chat, n = r.InsertedAt, r.ChatID, n+1
	}
	if n < 18_000 || n > 30_000 {
		t.Errorf("%d rows", n)
	}
	if switches < DemoConversations+1000 {
		t.Errorf("the chat changes only %d times in %d rows", switches, n)
	}
}

// Chats are not made up long before their rows are due, however many there are.
func TestRowsAreStreamed(t *testing.T) {
	const conversations = 8_000
	begun, most, seen := 0, 0, make(map[int64]bool)
	for r := range rows(conversations, 1, func(n int) { begun = n }) {
		seen[r.ChatID] = true
		most = max(most, begun-len(seen))
	}
	if most > 50 {
		t.Errorf("%d chats were begun before the first of their rows was yielded", most)
	}
	if len(seen) != conversations {
		t.Errorf("%d chats, want %d", len(seen), conversations)
	}
}

func TestRowsStopEarly(t *testing.T) {
	n := 0
	for range rows(100, 1, nil) {
		if n++; n == 10 {
			break
		}
	}
	if n != 10 {
		t.Errorf("%d rows", n)
	}
}

func TestChatsAreSane(t *testing.T) {
	staff := make(map[string]agent)
	for _, a := range agents {
		staff[a.ID] = a
	}
	ids := make(map[int64]bool)
	for id, chat := range demo() {
		sent := int64(0)
		for i, r := range once(chat) {
			if r.Seq != int32(i+1) {
				t.Fatalf("chat %d: seq %d at place %d", id, r.Seq, i+1)
			}
			if ids[r.ID] {
				t.Errorf("chat %d: id %d stands for two messages", id, r.ID)
			}
			ids[r.ID] = true
			if r.CreatedAt != nil {
				if *r.CreatedAt < sent || time.UnixMilli(*r.CreatedAt).UTC().Year() != 2025 {
					t.Errorf("chat %d: row %d was sent at %d, after one at %d", id, r.Seq, *r.CreatedAt, sent)
				}
				sent = *r.CreatedAt
			}
			checkAuthor(t, r, staff)
		}
	}
}

func checkAuthor(t *testing.T, r record, staff map[string]agent) {
	t.Helper()
	switch r.AuthorType {
	case "admin":
		if a, ok := staff[text(r.AuthorID)]; !ok || r.AuthorName != nil && *r.AuthorName != a.FullName {
			t.Errorf("row %d: agent %q, %q is not in the directory", r.ID, text(r.AuthorID), text(r.AuthorName))
		}
	case "user":
		if r.ContactID == nil || *r.AuthorID != *r.ContactID {
			t.Errorf("row %d: user %q is contact %q", r.ID, text(r.AuthorID), text(r.ContactID))
		}
	case "lead":
		if r.VisitorID == nil || *r.AuthorID != *r.VisitorID {
			t.Errorf("row %d: lead %q is visitor %q", r.ID, text(r.AuthorID), text(r.VisitorID))
		}
	}
	if _, ok := staff[text(r.AssignedToID)]; ok != (r.PartType == "assignment") {
		t.Errorf("row %d: %s of %q", r.ID, r.PartType, text(r.AssignedToID))
	}
}

// The texts of all languages name nobody and nothing that exists.
func TestBodiesAreHarmless(t *testing.T) {
	mail := regexp.MustCompile(`@[\w.-]*\w`)
	link := regexp.MustCompile(`https?://\S+`)
	phone := regexp.MustCompile(`\+\d[\d-]+`)
	for _, chat := range demo() {
		for _, r := range chat {
			body := text(r.Body)
			if strings.ContainsAny(body, "{}") {
				t.Errorf("row %d: a slot was left unfilled: %.100s", r.ID, body)
			}
			for _, m := range mail.FindAllString(body, -1) {
				if m != "@example.com" && m != "@example.org" {
					t.Errorf("row %d: address %s", r.ID, m)
				}
			}
			for _, l := range link.FindAllString(body, -1) {
				if !strings.Contains(l, ".example.com/") {
					t.Errorf("row %d: link %s", r.ID, l)
				}
			}
			for _, p := range phone.FindAllString(body, -1) {
				if !strings.HasPrefix(p, "+1-202-555-01") {
					t.Errorf("row %d: telephone number %s", r.ID, p)
				}
			}
		}
	}
}
