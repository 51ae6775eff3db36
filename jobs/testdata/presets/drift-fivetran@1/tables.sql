-- As Fivetran makes them, without the columns that have nothing to do with
-- transcripts.
CREATE TABLE conversation (id bigint PRIMARY KEY, contact_id bigint, inbox_id bigint, status text, created_at timestamptz, updated_at timestamptz, _fivetran_synced timestamptz);
CREATE TABLE conversation_message (id text, conversation_id bigint, org_id bigint, author_id bigint, author_type text, is_author_bot boolean, type text,
  body text, created_at timestamptz, edited_message_id text, edit_type text, _fivetran_synced timestamptz);
CREATE INDEX ON conversation_message (conversation_id);
CREATE INDEX ON conversation_message (edited_message_id) WHERE type = 'edit';

INSERT INTO conversation VALUES (1, 901, 5, 'closed', '2025-03-01 09:00Z', '2025-03-01 09:30Z', '2025-03-02'), (2, 902, 5, 'open', '2025-03-02 09:00Z', '2025-03-02 09:00Z', '2025-03-03');
INSERT INTO conversation_message VALUES
  ('m1', 1, 77, 3, 'user', true, 'chat', '<p>Hi! What brings you here?</p>', '2025-03-01 09:00:00Z', NULL, NULL, '2025-03-02'),
  ('m2', 1, 77, 901, 'contact', false, 'chat', 'The price of <b>Pro</b>?', '2025-03-01 09:00:30Z', NULL, NULL, '2025-03-02'),
  ('m3', 1, 77, 501, 'user', false, 'private_note', 'a big one', '2025-03-01 09:01:00Z', NULL, NULL, '2025-03-02'),
  ('m4', 1, 77, 501, 'user', false, 'chat', 'It is 90.', '2025-03-01 09:02:00Z', NULL, NULL, '2025-03-02'),
  -- corrected twice; the message is still of 09:02
  ('m5', 1, 77, 501, 'user', false, 'edit', 'It is 98.', '2025-03-01 09:02:20Z', 'm4', 'replace', '2025-03-02'),
  ('m6', 1, 77, 501, 'user', false, 'edit', 'It is 99.', '2025-03-01 09:02:40Z', 'm4', 'replace', '2025-03-02'),
  -- taken back
  ('m7', 1, 77, 501, 'user', false, 'chat', 'Not for you.', '2025-03-01 09:03:00Z', NULL, NULL, '2025-03-02'),
  ('m8', 1, 77, 501, 'user', false, 'edit', NULL, '2025-03-01 09:03:10Z', 'm7', 'delete', '2025-03-02'),
  -- another agent takes over
  ('m9', 1, 77, 502, 'user', false, 'chat', 'I take care of it.', '2025-03-01 09:10:00Z', NULL, NULL, '2025-03-02'),
  ('m10', 1, 77, 901, 'contact', false, 'chat', 'Thanks!', '2025-03-01 09:11:00Z', NULL, NULL, '2025-03-02'),
  ('m11', 2, 77, 902, 'contact', false, 'chat', 'Hello?', '2025-03-02 09:00:00Z', NULL, NULL, '2025-03-03');
