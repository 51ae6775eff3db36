package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/jobs"
)

// selectionFlags select a part of a job's conversations and events.
type selectionFlags struct {
	conversations []string
	from, until   string
	resend        string
	revision      int
}

func (f *selectionFlags) register(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.conversations, "conversation", nil, "deliver only the conversation with this id (may be repeated)")
	flags.StringVar(&f.from, "from", "", "deliver only events from this time on (2024-01-31 or RFC 3339)")
	flags.StringVar(&f.until, "until", "", "deliver only events before this time")
	flags.StringVar(&f.resend, "resend", "", "send again what was delivered, on purpose: changed (whose content is another now) or all")
	flags.IntVar(&f.revision, "revision", 0, "with --resend: under new ids, of this revision, a `number` from 1")
}

// resends returns what is to be sent again. Nothing is without being asked for.
func (f *selectionFlags) resends(revised bool) (jobs.Resend, error) {
	if revised && (f.revision < 1 || f.resend == "") {
		return "", usageError(fmt.Errorf("--revision %d: it is a number from 1, and goes with --resend", f.revision), "--resend changed --revision 1")
	}
	switch r := jobs.Resend(f.resend); r {
	case jobs.ResendNothing, jobs.ResendChanged, jobs.ResendAll:
		return r, nil
	}
	return "", usageError(fmt.Errorf("--resend %q: there is changed and all", f.resend), "--resend changed")
}

// selection returns what is selected; nil if the flags were not given.
func (f *selectionFlags) selection() (*jobs.Selection, error) {
	if len(f.conversations) == 0 && f.from == "" && f.until == "" && f.resend == "" {
		return nil, nil
	}
	s := &jobs.Selection{}
	if len(f.conversations) > 0 {
		s.Conversations = make(map[string]bool)
	}
	for _, id := range f.conversations {
		if id == "" {
			return nil, usageError(errors.New("--conversation: the id is empty"), "--conversation ID")
		}
		s.Conversations[id] = true
	}
	var err error
	if s.From, err = timeFlag("--from", f.from); err != nil {
		return nil, err
	}
	if s.Until, err = timeFlag("--until", f.until); err != nil {
		return nil, err
	}
	if f.from != "" && f.until != "" && s.From >= s.Until {
		return nil, usageError(fmt.Errorf("--from %s --until %s: there is no time between them", f.from, f.until), "--until with a time after --from")
	}
	return s, nil
}

func timeFlag(flag, value string) (extract.Time, error) {
	if value == "" {
		return 0, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if t, err := time.Parse(layout, value); err == nil {
			return extract.TimeOf(t), nil
		}
	}
	return 0, usageError(fmt.Errorf("%s %q: it is no time", flag, value), flag+" 2024-01-31 or "+flag+" 2024-01-31T15:04:05Z")
}
