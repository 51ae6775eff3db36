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

func newSpareMessages() spareMessages { return make(spareMessages, 3) }

// room returns room for about n messages: what one page was released of, unless
// its size was another one.
func (s spareMessages) room(n int) []Message {
	select {
	case messages := <-s:
		if cap(messages) >= n && cap(messages) <= 2*n {
			return messages
		}
	default:
	}
	return make([]Message, 0, n+n/16)
}

// keep keeps the memory of messages for a later page, unless there is enough.
func (s spareMessages) keep(messages []Message) {
	clear(messages) // they point to texts
	select {
	case s <- messages[:0]:
	default:
	}
}
