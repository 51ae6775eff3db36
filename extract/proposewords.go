package extract

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// The names that columns have in chat systems and their exports, the best ones
// first.
var (
	conversationNames = []string{"conversation_id", "chat_id", "thread_id", "session_id", "dialogue_id", "dialog_id", "conversations_thread_id",
		"ticket_id", "conversation_uuid", "conversation", "chat_key", "room_id", "case_id", "initial_contact_id", "chat", "thread", "session", "dialogue", "contact_id", "id"}
	messageNames = []string{"message_id", "id", "msg_id", "part_id", "event_id", "entry_id", "uuid", "guid", "fingerprint"}
	sentNames    = []string{"sent_at", "created_at", "timestamp", "timestamps", "message_time", "created_time", "created_on", "entry_time", "absolute_time",
		"event_time", "posted_at", "created", "time", "datetime", "unix_time", "ts", "date"}
	changedNames = []string{"inserted_at", "synced_at", "fivetran_synced", "airbyte_extracted_at", "airbyte_emitted_at", "loaded_at", "ingested_at",
		"changed_at", "updated_at", "modified_at", "updated_time", "updated"}
	endedNames = []string{"ended_at", "closed_at", "resolved_at", "completed_at", "end_time", "end_timestamp", "closed_time", "finished_at", "last_close_at",
		"deleted_at", "read_at", "delivered_at", "notified_at", "edited_at"}
	bodyNames         = []string{"body", "message_body", "content", "text", "message_text", "message", "msg", "plain_text", "body_text", "comment", "utterance"}
	sequenceNames     = []string{"sequence", "seq", "sequence_number", "message_index", "part_index", "position", "index", "idx", "ordinal", "turn", "order"}
	deletedNames      = []string{"is_deleted", "deleted", "deleted_at", "is_redacted", "redacted", "removed"}
	authorNames       = []string{"author_id", "sender_id", "from_id", "actor_id", "participant_id", "user_user_id", "creator_id", "created_by", "user_id", "agent_id"}
	authorNameNames   = []string{"author_name", "sender_name", "from_name", "display_name", "actor_name", "participant_name", "nickname", "nick", "name"}
	usernameNames     = []string{"author_username", "author_login", "author_email", "sender_email", "username", "user_name", "login", "email"}
	assignedNames     = []string{"assigned_to_id", "assignee_id", "assigned_to", "admin_assignee_id", "assigned_agent_id"}
	assignedNameNames = []string{"assigned_to_name", "assignee_name"}
	agentNames        = []string{"agent_id", "operator_id", "owner_id", "admin_id", "teammate_id"}
	customerNames     = []string{"customer_id", "contact_id", "client_id", "end_user_id", "requester_id", "external_user_id", "user_id"}
	visitorNames      = []string{"anonymous_id", "visitor_id", "device_id", "guest_id", "cookie_id"}
	endedByNames      = []string{"ended_by", "closed_by", "closed_by_id", "last_closed_by_id", "resolved_by"}
	personNames       = []string{"full_name", "name", "display_name", "nickname"}
	roleNamed         = []string{"role", "author_type", "sender_type", "actor_type", "participant_role", "author_role", "sender_role", "user_type",
		"from", "sender", "direction", "is_inbound", "inbound", "incoming", "agent", "speaker", "type"}
	kindNamed    = []string{"kind", "part_type", "event_type", "message_type", "entry_type", "type", "action", "content_type", "event"}
	privateNames = []string{"private", "is_private", "is_internal", "internal", "is_note"}
)

// roleWords are what systems call who speaks.
var roleWords = map[string][]string{
	"customer": {"customer", "user", "contact", "visitor", "client", "lead", "guest", "enduser", "end_user", "buyer", "consumer", "requester", "incoming", "inbound", "in"},
	"agent": {"agent", "admin", "operator", "staff", "support", "teammate", "representative", "rep", "employee", "advisor", "human_agent", "supervisor", "wizard",
		"outgoing", "outbound", "out"},
	"bot":    {"bot", "agent_bot", "agentbot", "assistant", "chatbot", "virtual_agent", "virtual_assistant", "ai", "ai_agent", "automation", "custom_bot", "trigger", "robot"},
	"system": {"system", "team", "workflow", "activity", "event"},
}

// kindWords are what systems call kinds of row.
var kindWords = map[string][]string{
	"message": {"message", "msg", "chat", "text", "comment", "chat_msg", "chat_message", "normal", "reply", "utter", "utterance", "welcome_message", "file", "image"},
	"end":     {"close", "closed", "end", "ended", "chat_end", "chat_ended", "resolve", "resolved", "conversation_resolved", "conversation_closed", "complete", "completed", "archived"},
	"assign":  {"assign", "assigned", "assignment", "transfer", "transferred", "reassigned"},
	"join":    {"join", "joined", "chat_memberjoin", "chat_join", "member_join", "participant_joined", "enter"},
	"leave":   {"leave", "left", "chat_memberleave", "chat_leave", "member_leave", "participant_left", "exit"},
	"note":    {"note", "private_note", "internal_note", "private", "whisper", "internal"},
	"ignore": {"ignore", "open", "opened", "rating", "chat_rating", "typing", "read", "seen", "delivered", "snoozed", "unsnoozed", "tag", "tagged", "status",
		"thread_status_change", "attribute_updated", "priority_changed", "chat_request_rating", "edit", "private_prompt"},
}

// wordOf finds what a value means; empty if nobody knows.
func wordOf(words map[string][]string, value string) string {
	value = snake(strings.TrimSpace(value))
	for _, meaning := range slices.Sorted(maps.Keys(words)) {
		if slices.Contains(words[meaning], value) {
			return meaning
		}
	}
	return ""
}

// GuessRoles guesses what the values of a column mean. Roles that are called so
// already are in neither of its results.
func GuessRoles(column string, values []string) (guessed map[string]string, unknown []string) {
	guessed = map[string]string{}
	flag := flagRole(snake(column))
	for _, value := range values {
		role := wordOf(roleWords, value)
		switch {
		case value == "true" && flag != "":
			role = flag
		case value == "false" && flag != "":
			role = map[string]string{"customer": "agent", "agent": "customer"}[flag]
		case snake(value) == "user" && usersAreAgents(values):
			role = "agent"
		case snake(value) == "agent" && slices.ContainsFunc(values, isHumanAgent):
			role = ""
		}
		switch _, canonical := ParseRole(value); {
		case canonical && role == value:
		case role == "":
			unknown = append(unknown, value)
		default:
			guessed[value] = role
		}
	}
	return guessed, unknown
}

// isHumanAgent reports a word that leaves agent to mean a bot.
func isHumanAgent(value string) bool { return snake(value) == "human_agent" }

// usersAreAgents reports whether the users are those of the chat system: another
// word says who the customers are, and none says who the agents are.
func usersAreAgents(values []string) bool {
	customers, agents := false, false
	for _, value := range values {
		role := wordOf(roleWords, value)
		agents = agents || role == "agent"
		customers = customers || role == "customer" && snake(value) != "user" && snake(value) != "lead"
	}
	return customers && !agents
}

// flagRole is whose rows a column of booleans marks.
func flagRole(column string) string {
	for _, part := range strings.Split(column, "_") {
		switch part {
		case "inbound", "incoming", "customer", "visitor", "contact":
			return "customer"
		case "outbound", "outgoing", "agent", "staff", "operator", "admin":
			return "agent"
		}
	}
	return ""
}

// GuessKinds guesses what the values of a column mean. Kinds that are called so
// already are in neither of its results.
func GuessKinds(values []string) (guessed map[string]string, unknown []string) {
	guessed = map[string]string{}
	hasMessage := slices.ContainsFunc(values, func(v string) bool { return snake(v) == "message" })
	for _, value := range values {
		kind := wordOf(kindWords, value)
		if snake(value) == "comment" && hasMessage {
			kind = "note" // beside messages comments are internal
		}
		switch _, canonical := ParseKind(value); {
		case canonical && kind == value:
		case kind == "":
			unknown = append(unknown, value)
		default:
			guessed[value] = kind
		}
	}
	return guessed, unknown
}

// byCount are the keys of counts, the greatest count first.
func byCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
}

// ProposeTable returns the table that most looks like one of messages, and how
// much it does: 0 if none does.
func ProposeTable(all []TableOutline) (best string, likeness int) {
	for _, t := range all {
		score := 0
		name := snake(t.Name[strings.LastIndexByte(t.Name, '.')+1:])
		for i, good := range []string{"messages", "chat_messages", "message", "conversation_messages", "conversation_parts", "conversation_part", "chat_events", "events", "chats"} {
			if name == good {
				score = max(score, 40-i)
			} else if strings.HasSuffix(name, "_"+good) {
				score = max(score, 25-i)
			}
		}
		for _, names := range [][]string{conversationNames[:15], sentNames, bodyNames, roleNamed[:10], messageNames[:6]} {
			for _, column := range t.Columns {
				if slices.Contains(names, snake(column)) {
					score += 10
					break
				}
			}
		}
		if score > likeness {
			best, likeness = t.Name, score
		}
	}
	if likeness < enough {
		return "", 0
	}
	return best, likeness
}
