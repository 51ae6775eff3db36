package examples

import (
	"strings"
	"testing"
	"unicode"
)

// The demo has some of everything that real chats have, and not too much of
// what is odd.
func TestVariety(t *testing.T) {
	got := make(map[string]int)
	for _, chat := range demo() {
		countChat(got, chat)
		for _, r := range chat {
			countRow(got, r)
		}
	}
	for _, want := range []struct {
		what        string
		least, most int
	}{
		{"chats", 2000, 2000},
		{"chats ended twice", 60, 300},
		{"chats never ended", 100, 500},
		{"chats without an agent or bot", 20, 200},
		{"chats with a bot and no agent", 60, 300},
		{"chats without a customer", 20, 100},
		{"chats begun by an agent", 60, 200},
		{"chats of two customers", 5, 50},
		{"chats of two agents", 100, 500},
		{"chats of nobody known", 300, 900},
		{"chats whose customer becomes known", 20, 200},
		{"chats with rows of one time", 10, 200},
		{"copied rows", 100, 600},
		{"edited copies", 10, 200},
		{"rows of a deleted message", 20, 200},
		{"rows of unknown author type", 3, 3},
		{"rows without a time", 2, 2},
		{"rows of kind note", 100, 1000},
		{"rows of kind assignment", 300, 2000},
		{"rows of kind join", 200, 2000},
		{"assignments with words", 20, 200},
		{"closes with words", 50, 400},
		{"agents' rows without a name", 500, 8000},
		{"blank comments", 50, 500},
		{"comments in Han or kana", 200, 3000},
		{"comments in Arabic", 100, 2000},
		{"comments in Hebrew", 50, 2000},
		{"comments with emoji", 500, 8000},
		{"comments like HTML", 50, 2000},
		{"comments of 2,000 bytes", 5, 100},
		{"comments of 32,000 bytes", 1, 10},
	} {
		if n := got[want.what]; n < want.least || n > want.most {
			t.Errorf("%s: %d, want %d to %d", want.what, n, want.least, want.most)
		}
	}
}

func countChat(got map[string]int, chat []record) {
	all := once(chat)
	who := make(map[string]map[string]bool)
	parts := make(map[string]int)
	sameTime, knownLater, known := false, false, false
	for i, r := range all {
		parts[r.PartType]++
		if r.PartType == "comment" {
			if who[r.AuthorType] == nil {
				who[r.AuthorType] = make(map[string]bool)
			}
			who[r.AuthorType][text(r.AuthorID)] = true
		}
		sameTime = sameTime || i > 0 && r.CreatedAt != nil && all[i-1].CreatedAt != nil && *r.CreatedAt == *all[i-1].CreatedAt
		known = known || r.ContactID != nil
		knownLater = knownLater || all[0].ContactID == nil && r.ContactID != nil
	}
	customers := len(who["user"]) + len(who["lead"])
	count := func(what string, yes bool) {
		if yes {
			got[what]++
		}
	}
	got["chats"]++
	got["copied rows"] += len(chat) - len(all)
	count("chats ended twice", parts["close"] == 2)
	count("chats never ended", parts["close"] == 0)
	count("chats without an agent or bot", customers > 0 && len(who["admin"])+len(who["bot"]) == 0)
	count("chats with a bot and no agent", len(who["admin"]) == 0 && len(who["bot"]) > 0)
	count("chats without a customer", customers == 0)
	count("chats begun by an agent", all[0].AuthorType == "admin" && all[0].PartType == "comment")
	count("chats of two customers", customers == 2)
	count("chats of two agents", len(who["admin"]) == 2)
	count("chats of nobody known", !known)
	count("chats whose customer becomes known", knownLater)
	count("chats with rows of one time", sameTime)
}

func countRow(got map[string]int, r record) {
	body := text(r.Body)
	count := func(what string, yes bool) {
		if yes {
			got[what]++
		}
	}
	got["rows of kind "+r.PartType]++
	count("edited copies", strings.HasSuffix(body, " (edited)"))
	count("rows of a deleted message", r.IsDeleted)
	count("rows of unknown author type", r.AuthorType == "robot2")
	count("rows without a time", r.CreatedAt == nil)
	count("assignments with words", r.PartType == "assignment" && body != "")
	count("closes with words", r.PartType == "close" && body != "")
	count("agents' rows without a name", r.AuthorType == "admin" && r.AuthorName == nil)
	if r.PartType != "comment" {
		return
	}
	count("blank comments", body == "")
	count("comments in Han or kana", has(body, unicode.Han, unicode.Hiragana, unicode.Katakana))
	count("comments in Arabic", has(body, unicode.Arabic))
	count("comments in Hebrew", has(body, unicode.Hebrew))
	count("comments with emoji", has(body, emoji))
	count("comments like HTML", strings.ContainsAny(body, "<&"))
	count("comments of 2,000 bytes", len(body) >= 2000)
	count("comments of 32,000 bytes", len(body) >= 32000)
}

var emoji = &unicode.RangeTable{R32: []unicode.Range32{{Lo: 0x1F300, Hi: 0x1FAFF, Stride: 1}}}

func has(s string, tables ...*unicode.RangeTable) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsOneOf(tables, r) })
}
