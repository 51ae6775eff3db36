package transform

import (
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
