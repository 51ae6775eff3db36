package transform

import "testing"

func TestIDText(t *testing.T) {
	ids := newIDs("my-namespace", "my-label")
	id := ids.event("abd627dbecffc", Sent, "beaffc193618cbe")
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
	if ids.key(Sent, "1") == ids.key(Received, "1") || ids.key(Sent, "1") == ids.key(Sent, "2") {
		t.Error("keys do not tell events apart")
	}
}
