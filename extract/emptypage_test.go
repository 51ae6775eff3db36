package extract

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
)

// Chats are read however many conversations without any message lie between them,
// pages of them and more.
func TestConversationsWithoutMessages(t *testing.T) {
	const conversations, messages = 10 * pageConversations, 10
	dir := t.TempDir()
	write := func(name string, rows []map[string]string) {
		data, err := json.Marshal(rows)
		if err != nil {
			t.Fatal(err)
		}
		fields := plainFields
		if name == "conversations.parquet" {
			fields = append(plainFields[:1:1], column("user_id", text))
		}
		writeParquet(t, filepath.Join(dir, name), fields, string(data), int64(len(rows)))
	}
	var said, had []map[string]string
	for i := range conversations {
		id := fmt.Sprint("c-", i)
		had = append(had, map[string]string{"conversation_id": id, "user_id": "u"})
		if i%(conversations/messages) == 0 {
			said = append(said, map[string]string{
				"conversation_id": id, "message_id": "m", "sent_at": "2024-03-01", "role": "customer", "kind": "message", "author_id": "a", "body": "hello",
			})
		}
	}
	write("conversations.parquet", had)
	write("messages.parquet", said)
	cfg := testConfig(dir, "messages.parquet")
	cfg.Conversations = []Set{{Files: []string{"conversations.parquet"}}}
	if got := len(transcripts(t, mustOpen(t, cfg), "")); got != messages {
		t.Errorf("%d conversations, want %d", got, messages)
	}
}
