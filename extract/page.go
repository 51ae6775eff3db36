package extract

// Page is some whole transcripts.
type Page struct {
	Transcripts []Transcript
	release     func() // nil: the memory is left to the garbage collector
}

// Release ends the use of the page's messages: their memory, but not that of
// their texts, may become that of a later page. It need not be called.
func (p Page) Release() {
	if p.release != nil {
		p.release()
	}
}

// spareMessages is the memory of the messages of pages that were released, for
// as many pages as may be released while one is read.
type spareMessages chan []Message

func newSpareMessages() spareMessages { return make(spareMessages, 4) }

// room returns room for n messages: what a page was released of, if that is large
// enough.
func (s spareMessages) room(n int) []Message {
	select {
	case messages := <-s:
		if cap(messages) >= n {
			return messages
		}
	default:
	}
	return make([]Message, 0, n+n/16)
}

// maxSpare is the number of messages up to which their memory is kept: a page is
// larger only if a single conversation is.
const maxSpare = 1 << 16

// keep keeps the memory of messages for a later page, unless there is enough.
func (s spareMessages) keep(messages []Message) {
	if cap(messages) > maxSpare {
		return
	}
	clear(messages) // they point to texts
	select {
	case s <- messages[:0]:
	default:
	}
}
