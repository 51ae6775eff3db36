package transform

import (
	"reflect"
	"strings"
	"testing"

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
