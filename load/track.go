package load

import (
	analytics "github.com/segmentio/analytics-go/v3"

	"github.com/chatbackfill/chatbackfill/transform"
)

// Track returns e as a track call of analytics-go. The call's maps are its own,
// but for those of the event's Settings, which are only read.
func Track(e *transform.Event) analytics.Track {
	t := analytics.Track{
		MessageId:   e.ID.String(),
		UserId:      e.UserID,
		AnonymousId: e.AnonymousID,
		Event:       e.Name.String(),
		Timestamp:   e.Timestamp.Time(),
		Properties:  properties(e),
	}
	if s := e.Settings; s != nil {
		if len(s.Context) > 0 {
			t.Context = &analytics.Context{Extra: s.Context}
		}
		t.Integrations = s.Integrations
	}
	return t
}

func properties(e *transform.Event) analytics.Properties {
	p := make(analytics.Properties, 7+len(e.Properties))
	for _, x := range e.Properties {
		p[x.Key] = x.Value
	}
	p["conversation_id"] = e.ConversationID
	p["conversation_duration"] = e.Duration
	p["message_id"] = e.MessageID
	setKnown(p, "message_body", e.Body)
	setKnown(p, "agent_id", e.Agent.ID)
	setKnown(p, "agent_name", e.Agent.Name)
	setKnown(p, "agent_username", e.Agent.Username)
	return p
}

func setKnown(p analytics.Properties, key, value string) {
	if value != "" {
		p[key] = value
	}
}
