package transform

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/chatbackfill/chatbackfill/extract"
)

// Events made in memory that others were in before are the same, be they few,
// too many for a block, or too large.
func TestArenaIsUsedAgain(t *testing.T) {
	chats := supportChats(40)
	chats = append(chats, *largeChat(largeChats["in turns"], 2*eventBlock))
	chats[7].Messages[4].Body = strings.Repeat("<", MaxEventBytes)
	o := Options{Namespace: "support", Label: "prod", Derived: DerivedProperties}
	build := func(b *Builder, chats []extract.Transcript) (all []Event) {
		tally := NewTally()
		for i := range chats {
			all = append(all, b.Build(&chats[i], Known{}, &tally).Events...)
		}
		return all
	}
	builder, arena := newBuilder(t, o), NewArena()
	builder.Use(arena)
	for from := 0; from < len(chats); from += 10 {
		want := build(newBuilder(t, o), chats[from:])
		got := build(builder, chats[from:])
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("from conversation %d the events differ", from)
		}
		arena.Reset()
	}
	if free := len(arena.text.free); free == 0 || free > 10 {
		t.Errorf("%d blocks of text are kept", free)
	}
}

// Events whose life has ended leave those before them as they are, and take no
// memory.
func TestArenaRewinds(t *testing.T) {
	chats := supportChats(40)
	chats = append(chats, *largeChat(largeChats["in turns"], 2*eventBlock))
	chats[7].Messages[4].Body = strings.Repeat("<", MaxEventBytes)
	rapid.Check(t, func(r *rapid.T) {
		builder, arena, tally := newBuilder(t, Options{Namespace: "support"}), NewArena(), NewTally()
		builder.Use(arena)
		var got, want []Event
		for range rapid.IntRange(1, 30).Draw(r, "conversations") {
			mark, size := arena.Mark(), arena.Size()
			chat := &chats[rapid.IntRange(0, len(chats)-1).Draw(r, "chat")]
			events := builder.Build(chat, Known{}, &tally).Events
			if rapid.Bool().Draw(r, "rewind") {
				if arena.Rewind(mark); arena.Size() != size {
					r.Fatalf("%d bytes are in use, %d were", arena.Size(), size)
				}
				continue
			}
			got = append(got, events...)
			want = append(want, newBuilder(t, Options{Namespace: "support"}).Build(chat, Known{}, &tally).Events...)
		}
		for i := range want {
			want[i].Settings, got[i].Settings = nil, nil // each builder has its own
		}
		if !reflect.DeepEqual(want, got) {
			r.Fatal("the events differ")
		}
	})
}

// The lines of events that lie one after the other are one piece of text, whichever
// of them are taken, and nothing else is in it.
func TestAppendLine(t *testing.T) {
	chats := supportChats(40)
	rapid.Check(t, func(r *rapid.T) {
		builder, arena, tally := newBuilder(t, Options{Namespace: "support"}), NewArena(), NewTally()
		builder.Use(arena)
		var want []byte
		var pieces [][]byte
		most, before := 0, false
		for range rapid.IntRange(1, 10).Draw(r, "conversations") {
			chat := &chats[rapid.IntRange(0, len(chats)-1).Draw(r, "chat")]
			events := builder.Build(chat, Known{}, &tally).Events
			for i := range events {
				e := &events[i]
				switch rapid.SampledFrom([]string{"take", "take", "take", "leave out", "take a copy", "take one without line"}).Draw(r, "what") {
				case "leave out":
					before = false
					continue
				case "take a copy":
					e, before = e.Detached(), false
				case "take one without line":
					e, before = &Event{JSON: e.JSON}, false
				}
				if !before {
					most++
				}
				before = e == &events[i]
				pieces = e.AppendLine(pieces)
				want = append(append(want, e.JSON...), '\n')
			}
		}
		if got := bytes.Join(pieces, nil); !bytes.Equal(got, want) {
			r.Fatalf("got %q, want %q", got, want)
		}
		if blocks := len(arena.text.full) + 1; len(pieces) > most+blocks-1 {
			r.Errorf("%d pieces in %d blocks, want %d", len(pieces), blocks, most)
		}
	})
}

// A detached event stays as it is, whatever is made in its arena later.
func TestDetached(t *testing.T) {
	chats := supportChats(2)
	builder, arena, tally := newBuilder(t, Options{Namespace: "support"}), NewArena(), NewTally()
	builder.Use(arena)
	e := builder.Build(&chats[0], Known{}, &tally).Events[0]
	want := string(e.JSON) + "\n"
	detached := e.Detached()
	arena.Reset()
	builder.Build(&chats[1], Known{}, &tally)
	if got := string(bytes.Join(detached.AppendLine(nil), nil)); got != want || got != string(detached.JSON)+"\n" {
		t.Errorf("got %q, want %q", got, want)
	}
}
