package transform

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page for users links to every golden folder, and the example in it is
// what comes out.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob("testdata/golden/*/options.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if link := "(../transform/" + filepath.ToSlash(filepath.Dir(f)) + ")"; !strings.Contains(string(page), link) {
			t.Errorf("no link %s", link)
		}
	}
	example := readGolden(t, "testdata/golden/example")
	for _, e := range observe(t, example.options, &example.transcript, Known{}).JSON {
		var event struct {
			Event, Timestamp string
			Properties       map[string]any
		}
		if err := json.Unmarshal([]byte(e), &event); err != nil {
			t.Fatal(err)
		}
		p, body := event.Properties, ""
		if p["message_body"] != nil {
			body = fmt.Sprint(p["message_body"], " ")
		}
		row := fmt.Sprintf("| %s | %s | %v | %v | %v | %s|\n",
			event.Timestamp[11:19], event.Event, p["message_id"], p["conversation_duration"], p["agent_name"], body)
		if !strings.Contains(string(page), row) {
			t.Errorf("no row %s", row)
		}
	}
}
