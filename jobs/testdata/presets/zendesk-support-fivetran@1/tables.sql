-- As Fivetran makes them, without the columns that have nothing to do with
-- transcripts.
CREATE TABLE "user" (id bigint PRIMARY KEY, name text, email text, role text, external_id text, _fivetran_synced timestamptz, _fivetran_deleted boolean);
CREATE TABLE ticket_chat (chat_id text, ticket_id bigint, user_id bigint, visitor_id text, conversation_id text, channel text, initiator text,
  authenticated boolean, backend text, integration_id text, _fivetran_synced timestamptz);
CREATE TABLE ticket_chat_event (chat_id text, chat_index integer, created_at timestamptz, type text, actor_id text, message text, message_id text,
  external_message_id text, parent_message_id text, original_message_type text, message_source text, filename text, mime_type text, size bigint,
  url text, is_history_context boolean, reason text, status text, status_updated_at timestamptz, _fivetran_synced timestamptz);
CREATE INDEX ON ticket_chat_event (chat_id);

INSERT INTO "user" VALUES (501, 'Ana Silva', 'ana@acme.test', 'agent', NULL, '2025-04-01', false), (502, 'Ben Okafor', 'ben@acme.test', 'admin', NULL, '2025-04-01', false),
  (901, 'Carla', 'carla@example.test', 'end-user', 'user-42', '2025-04-01', false);
INSERT INTO ticket_chat VALUES
  -- one chat, two tickets
  ('k1', 11, 901, 'v-1', 's1', 'web', '2', true, 'sunco', 'i1', '2025-03-02'), ('k1', 12, 901, 'v-1', 's1', 'web', '2', true, 'sunco', 'i1', '2025-03-02'),
  ('k2', 13, NULL, 'v-2', NULL, 'web', '2', false, 'chat', 'i1', '2025-03-02');
INSERT INTO ticket_chat_event (chat_id, chat_index, created_at, type, actor_id, message, message_id, is_history_context, reason, status, _fivetran_synced) VALUES
  -- a copy of what was said in an earlier chat
  ('k1', 0, '2025-02-01 08:00Z', 'ChatMessage', '901', 'Thanks, bye.', 'old', true, NULL, NULL, '2025-03-02'),
  ('k1', 1, '2025-03-01 09:00:00Z', 'ChatJoin', '901', NULL, NULL, false, NULL, NULL, '2025-03-02'),
  ('k1', 2, '2025-03-01 09:00:05Z', 'ChatMessage', '901', 'Where is my order?', 'm1', false, NULL, NULL, '2025-03-02'),
  ('k1', 3, '2025-03-01 09:00:06Z', 'ChatMessageStatus', '901', NULL, 'm1', false, NULL, 'DELIVERED', '2025-03-02'),
  ('k1', 4, '2025-03-01 09:00:07Z', 'ChatMessage', '__trigger', 'Somebody will be with you soon.', 'm2', false, NULL, NULL, '2025-03-02'),
  ('k1', 5, '2025-03-01 09:00:08Z', 'ChatMessage', 'agent:', 'I am the bot. Which one?', 'm3', false, NULL, NULL, '2025-03-02'),
  ('k1', 6, '2025-03-01 09:01:00Z', 'ChatJoin', '501', NULL, NULL, false, NULL, NULL, '2025-03-02'),
  ('k1', 7, '2025-03-01 09:02:00Z', 'ChatMessage', '501', 'Which one is it?', 'm4', false, NULL, NULL, '2025-03-02'),
  ('k1', 8, '2025-03-01 09:02:30Z', 'ChatDepartmentTransfer', '501', NULL, NULL, false, NULL, NULL, '2025-03-02'),
  ('k1', 9, '2025-03-01 09:02:31Z', 'ChatLeave', '501', NULL, NULL, false, NULL, NULL, '2025-03-02'),
  ('k1', 10, '2025-03-01 09:02:32Z', 'ChatJoin', 'agent:502', NULL, NULL, false, NULL, NULL, '2025-03-02'),
  ('k1', 11, '2025-03-01 09:03:00Z', 'ChatFileAttachment', '901', NULL, 'm5', false, NULL, NULL, '2025-03-02'),
  ('k1', 12, '2025-03-01 09:05:00Z', 'ChatMessage', 'agent:502', 'It left this morning.', 'm6', false, NULL, NULL, '2025-03-02'),
  ('k1', 13, '2025-03-01 09:06:00Z', 'ChatRatingChanged', '901', NULL, NULL, false, NULL, NULL, '2025-03-02'),
  ('k1', 14, '2025-03-01 09:10:00Z', 'chat-session-ended', '__system', NULL, NULL, false, 'agent_ended', NULL, '2025-03-02'),
  ('k2', 0, '2025-03-02 09:00:00Z', 'ChatMessage', '', 'Hello?', 'm1', false, NULL, NULL, '2025-03-02'),
  ('k2', 1, '2025-03-02 09:10:00Z', 'chat-session-ended', '__system', NULL, NULL, false, 'visitor_left', NULL, '2025-03-02');
