package jobs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Selection is a part of a job's conversations and events. A nil Selection is
// all of them.
type Selection struct {
	Conversations map[string]bool // nil: all
	From          extract.Time    // events from here; 0: from the first
	Until         extract.Time    // to here, exclusive; 0: to the last

	// Retry are rejects, by their numbers, of the conversations, which the source
	// need not have any more: the events that they hold back are sent, and those
	// that did not come up again are closed once all is done.
	Retry map[int64]bool
}

// has reports whether a conversation is selected.
func (s *Selection) has(conversation string) bool {
	return s == nil || s.Conversations == nil || s.Conversations[conversation]
}

// retries reports whether a reject is to be tried again.
func (s *Selection) retries(reject int64) bool { return s != nil && s.Retry[reject] }

// errNoConversation refuses ids that the source does not have.
func errNoConversation(ids []string) error {
	return &Error{
		Exit: ExitUsage,
		Err:  fmt.Errorf("the source has no conversation %s", strings.Join(ids, ", ")),
		Try:  "an id as the source has it, with the prefix of conversation_id if the job file gives one",
	}
}

// covers reports whether an event of that time is selected.
func (s *Selection) covers(at extract.Time) bool {
	return s == nil || at >= s.From && (s.Until == 0 || at < s.Until)
}

// wholly reports whether all events of the selected conversations are selected.
func (s *Selection) wholly() bool { return s == nil || s.From == 0 && s.Until == 0 }

// Resend says which delivered events are sent again on purpose.
type Resend string

// What is sent again.
const (
	ResendNothing Resend = ""
	ResendChanged Resend = "changed" // events whose content is another now
	ResendAll     Resend = "all"
)

// again reports whether an event that was delivered is sent again.
func (r Resend) again(changed bool) bool { return r == ResendAll || r == ResendChanged && changed }

// errNoParts refuses to deliver a part of a job without a ledger: nobody knows
// what of it was delivered, nor would know afterwards that it was.
var errNoParts = &Error{
	Exit: ExitUsage,
	Err:  errors.New("ledger: off keeps only the position: what was delivered of a part is not known"),
	Try:  "leave out --conversation, --from, --until and --resend; ledger: on from the first run knows every event",
}
