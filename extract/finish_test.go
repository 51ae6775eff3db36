package extract

import (
	"fmt"
	"testing"
)

// A conversation with very many rejects keeps the first of each reason; the
// others are counted.
func TestFinishCombinesRejects(t *testing.T) {
	tr := Transcript{ConversationID: "c"}
	for i := range 3000 {
		reason := UnknownRole
		if i%3 == 0 {
			reason = BadTimestamp
		}
		tr.Rejects = append(tr.Rejects, Reject{Reason: reason, Set: SetMessages, ConversationID: "c", Locator: fmt.Sprintf("m.parquet, row %04d", i)})
	}
	finish(&tr)
	rows, listed, locators := map[Reason]int{}, map[Reason]int{}, map[string]bool{}
	for _, r := range tr.Rejects {
		rows[r.Reason] += r.RowCount()
		listed[r.Reason]++
		locators[string(r.Reason)+r.Locator] = true
	}
	if rows[UnknownRole] != 2000 || rows[BadTimestamp] != 1000 || listed[UnknownRole] != 1001 || listed[BadTimestamp] != 1000 || len(locators) != 2001 {
		t.Errorf("rows %v, listed %v, %d locators", rows, listed, len(locators))
	}
	last := tr.Rejects[len(tr.Rejects)-1]
	if last.Locator != `messages: conversation "c": further rows` || last.Rows != 1000 || last.Reason != UnknownRole {
		t.Errorf("the last stands for the others: %+v", last)
	}
}
