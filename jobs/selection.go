package jobs

import "github.com/chatbackfill/chatbackfill/extract"

// Selection is a part of a job's conversations and events. A nil Selection is
// all of them.
type Selection struct {
	Conversations map[string]bool // nil: all
	From          extract.Time    // events from here; 0: from the first
	Until         extract.Time    // to here, exclusive; 0: to the last
}

// has reports whether a conversation is selected.
func (s *Selection) has(conversation string) bool {
	return s == nil || s.Conversations == nil || s.Conversations[conversation]
}

// covers reports whether an event of that time is selected.
func (s *Selection) covers(at extract.Time) bool {
	return s == nil || at >= s.From && (s.Until == 0 || at < s.Until)
}
