package jobs

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/load"
	"github.com/chatbackfill/chatbackfill/transform"
)

// barTable is a table of counts with a bar for each.
type barTable struct {
	Rows  []barRow
	Total int
}

type barRow struct {
	Name, Meaning string
	Count         int
	Share         string // of the total
	Width         string // of the bar, in percent
}

func newBarTable(rows []barRow) barTable {
	t := barTable{Rows: rows}
	most := 1
	for _, row := range rows {
		t.Total += row.Count
		most = max(most, row.Count)
	}
	for i := range rows {
		rows[i].Share = share(rows[i].Count, t.Total)
		rows[i].Width = percent(rows[i].Count, most)
	}
	return t
}

// eventTable are the events that were accepted, in the order in which a
// conversation has them.
func eventTable(s Summary) barTable {
	if len(s.Sent) == 0 {
		return barTable{}
	}
	var rows []barRow
	for _, name := range transform.Names {
		rows = append(rows, barRow{Name: name.String(), Count: s.Sent[name]})
	}
	return newBarTable(rows)
}

// rowTable is what became of the rows, the most frequent first.
func rowTable(t transform.Tally) barTable {
	var rows []barRow
	for _, outcome := range largestFirst(t.Rows) {
		row := barRow{Name: string(outcome), Meaning: outcomeMeanings[outcome], Count: t.Rows[outcome]}
		if reason, ok := strings.CutPrefix(row.Name, string(transform.Ignored)); ok {
			row.Name, row.Meaning = "ignored: "+reason, cmp.Or(ignoredMeanings[reason], "not looked at any further")
		}
		if reason, ok := strings.CutPrefix(row.Name, string(transform.Rejected)); ok {
			row.Name, row.Meaning = "rejected: "+reason, reasonMeanings[reason]
		}
		rows = append(rows, row)
	}
	return newBarTable(rows)
}

var outcomeMeanings = map[transform.Outcome]string{
	transform.Caused:     "caused an event",
	transform.Informs:    "says who or when; causes no event",
	transform.Duplicate:  "another version of the same row counts",
	transform.Filtered:   "left out by the job's where",
	transform.Suppressed: "of a customer of whom nothing may be sent",
	transform.Waiting:    "its event is sent by a later run",
}

var ignoredMeanings = map[string]string{
	"note": "internal notes", "leave": "somebody left", "ignore": "mapped to ignore", "system": "written by the system",
}

var reasonMeanings = map[string]string{
	string(extract.BadID):         "an id is missing or no whole number",
	string(extract.BadTimestamp):  "a time is missing or implausible",
	string(extract.BadValue):      "a value has a type that its field cannot take",
	string(extract.UnknownRole):   "a role that the job file does not map",
	string(extract.UnknownKind):   "a kind that the job file does not map",
	string(extract.Incomplete):    "the conversation reaches back beyond lookback",
	string(extract.TooMuch):       "the conversation is larger than memory allows",
	string(transform.Held):        "another row of the conversation cannot be read",
	string(transform.NoIdentity):  "nobody says whose conversation it is",
	string(transform.TooLarge):    "the event is too large even without a body",
	string(load.RefusedBySegment): "Segment refuses the event",
	string(load.InvalidEvent):     "the event is not complete",
}

// settingGroup are the settings under one key of the job file.
type settingGroup struct {
	Name     string
	Settings []fact
}

// settingGroups puts settings under the first key of their path, and those that
// have no other before all others.
func settingGroups(settings map[string]any) []settingGroup {
	groups := []settingGroup{{Name: "job"}}
	for _, path := range slices.Sorted(maps.Keys(settings)) {
		value := settingText(settings[path])
		group, key, nested := strings.Cut(path, ".")
		if !nested {
			groups[0].Settings = append(groups[0].Settings, fact{path, value})
			continue
		}
		if groups[len(groups)-1].Name != group {
			groups = append(groups, settingGroup{Name: group})
		}
		last := &groups[len(groups)-1]
		last.Settings = append(last.Settings, fact{key, value})
	}
	return groups
}

func settingText(value any) string {
	if v := reflect.ValueOf(value); v.Kind() == reflect.String {
		return v.String()
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(encoded)
}
