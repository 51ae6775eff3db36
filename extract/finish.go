package extract

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxRejects is how many rejects a conversation can have of one reason. One
// more stands for the rows beyond: a mapping that is wrong for every row of a
// very long conversation must not fill memory and the state store.
const maxRejects = 1000

// finish gives rejects and conversations an order that does not depend on how
// goroutines were scheduled, and puts rejects together if there are too many.
func finish(t *Transcript) {
	slices.SortFunc(t.Rejects, func(a, b Reject) int {
		return cmp.Or(strings.Compare(a.Locator, b.Locator), strings.Compare(a.MessageID, b.MessageID))
	})
	slices.SortFunc(t.Conversations, compareConversations)
	if len(t.Rejects) > maxRejects && t.ConversationID != "" {
		t.Rejects = combineRejects(t.Rejects)
	}
}

// combineRejects returns the first rejects of each set and reason, and one that
// stands for the others of theirs.
func combineRejects(rejects []Reject) []Reject {
	type group struct {
		set    string
		reason Reason
	}
	kept, further := map[group]int{}, map[group]*Reject{}
	var combined, rest []Reject
	for i := range rejects {
		r := &rejects[i]
		key := group{r.Set, r.Reason}
		if kept[key]++; kept[key] <= maxRejects {
			combined = append(combined, *r)
			continue
		}
		if further[key] == nil {
			further[key] = &Reject{Stage: r.Stage, Reason: r.Reason, Set: r.Set, ConversationID: r.ConversationID,
				Locator: locateConversation(r.Set, r.ConversationID) + ": further rows"}
		}
		further[key].Rows += r.RowCount()
	}
	for _, r := range further {
		r.Detail = fmt.Sprintf("%d further rows of the conversation, as those that are listed", r.Rows)
		rest = append(rest, *r)
	}
	slices.SortFunc(rest, func(a, b Reject) int {
		return cmp.Or(strings.Compare(a.Locator, b.Locator), strings.Compare(string(a.Reason), string(b.Reason)))
	})
	return append(combined, rest...)
}

// largestConversation is how many bytes a conversation may take, given the
// memory for putting rows together: its events take several times as much.
func largestConversation(memory int64) int64 { return memory / 8 }

// locateConversation is the locator of all rows of a conversation in a place.
func locateConversation(place, id string) string {
	return place + ": conversation " + strconv.QuoteToASCII(id)
}
