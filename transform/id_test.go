package transform

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestIDText(t *testing.T) {
	ids := newIDs("my-namespace", "my-label")
	id, key := ids.event("abd627dbecffc", Sent, "beaffc193618cbe")
	if id[6]>>4 != 5 || id[8]>>6 != 2 {
		t.Errorf("%s is no UUID of version 5", id)
	}
	if back, ok := ParseID(id.String()); !ok || back != id {
		t.Errorf("ParseID(%s) = %s, %v", id, back, ok)
	}
	for _, s := range []string{"", id.String()[1:], id.String() + "0", "g" + id.String()[1:], "0123456789abcdef0123456789abcdef0123"} {
		if _, ok := ParseID(s); ok {
			t.Errorf("ParseID(%q) is ok", s)
		}
	}
	for _, c := range []struct {
		conversation string
		name         Name
		message      string
		same         bool
	}{
		{"abd627dbecffc", Sent, "beaffc193618cb", false},
		{"abd627dbecffc", Received, "beaffc193618cbe", false},
		{"abd627dbecff", Sent, "beaffc193618cbe", true},
		{"", Sent, "beaffc193618cbe", true},
	} {
		other, otherKey := ids.event(c.conversation, c.name, c.message)
		if want := ids.of(c.conversation, c.name.String(), c.message); other == id || other != want {
			t.Errorf("%v: id %s, want %s", c, other, want)
		}
		if (otherKey == key) != c.same {
			t.Errorf("%v: key %x, that of Sent was %x", c, otherKey, key)
		}
	}
}

// Names of every length, of one block and of several, are hashed as other
// libraries hash them.
func TestIDLengths(t *testing.T) {
	ids := newIDs("my-namespace", "my-label")
	for n := range 200 {
		name := strings.Repeat("n", n)
		if got, want := ids.of(name).String(), uuid.NewSHA1(uuid.UUID(ids.root), []byte(name)).String(); got != want {
			t.Fatalf("a name of %d bytes: id %s, want %s", n, got, want)
		}
	}
}

// TestRevised: another id in the same bytes. The ids were computed with Python's
// uuid module: uuid5(UUID(messageId), "revision 2").
func TestRevised(t *testing.T) {
	id, ok := ParseID("d6d66bf6-2179-5374-9ce0-f7985dab6abe")
	if !ok {
		t.Fatal("it is no id")
	}
	var settings Settings
	if err := settings.encode(); err != nil {
		t.Fatal(err)
	}
	e := Event{ID: id, Settings: &settings, Name: Sent, ConversationID: "c", MessageID: "m", Body: "body", Timestamp: 1}
	e.JSON = new(writer).event(nil, &e)
	before, hash := string(e.JSON), e.Hash()
	e.Revise(2)
	const want = "912d4d5f-4d88-5675-a71a-1deee5ec01c6"
	if got := e.ID.String(); got != want {
		t.Errorf("id %s, want %s", got, want)
	}
	if got := strings.Replace(before, id.String(), want, 1); string(e.JSON) != got || e.Hash() != hash {
		t.Errorf("event %s, want %s", e.JSON, got)
	}
	if id.Revised(1) == id.Revised(2) || id.Revised(1) == id {
		t.Error("revisions share an id")
	}
}
