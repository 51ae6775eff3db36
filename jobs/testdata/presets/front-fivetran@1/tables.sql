-- As Fivetran makes them, without the columns that have nothing to do with
-- transcripts.
CREATE TABLE conversation (id text PRIMARY KEY, subject text, status text, status_category text, teammate_id text, recipient_handle text,
  recipient_role text, is_private boolean, created_at timestamptz, _fivetran_synced timestamptz);
CREATE TABLE message (id text PRIMARY KEY, conversation_id text, type text, is_inbound boolean, is_draft boolean, author_id text, body text,
  blurb text, text text, created_at timestamptz, _fivetran_synced timestamptz);
CREATE INDEX ON message (conversation_id);
CREATE TABLE comment (id text PRIMARY KEY, conversation_id text, author_id text, body text, posted_at timestamptz, _fivetran_synced timestamptz);
CREATE TABLE teammate (id text PRIMARY KEY, email text, username text, first_name text, last_name text, _fivetran_synced timestamptz);

INSERT INTO teammate VALUES ('tea_1', 'ana@acme.test', 'ana', 'Ana', 'Silva', '2025-04-01'), ('tea_2', 'ben@acme.test', 'ben', 'Ben', NULL, '2025-04-01');
INSERT INTO conversation VALUES
  ('cnv_1', 'order', 'archived', 'resolved', 'tea_2', 'carla@example.test', 'from', false, '2025-03-01 09:00Z', '2025-03-02'),
  ('cnv_2', 'hello', 'unassigned', 'open', NULL, 'visitor-8', 'from', false, '2025-03-02 09:00Z', '2025-03-02');
INSERT INTO comment VALUES ('com_1', 'cnv_1', 'tea_1', 'a note for us', '2025-03-01 09:01Z', '2025-03-02');
INSERT INTO message VALUES
  ('msg_1', 'cnv_1', 'front_chat', true, false, NULL, '<p>Where is my order?</p>', 'Where is', 'Where is my order?', '2025-03-01 09:00:00.5Z', '2025-03-02'),
  -- a rule answers
  ('msg_2', 'cnv_1', 'front_chat', false, false, NULL, '<p>We are on it.</p>', 'We are', 'We are on it.', '2025-03-01 09:00:02Z', '2025-03-02'),
  ('msg_3', 'cnv_1', 'front_chat', false, false, 'tea_1', '<p>Which one?</p>', 'Which', 'Which one?', '2025-03-01 09:02:00Z', '2025-03-02'),
  ('msg_4', 'cnv_1', 'front_chat', false, true, 'tea_1', '<p>never sent</p>', 'never', 'never sent', '2025-03-01 09:02:30Z', '2025-03-02'),
  ('msg_5', 'cnv_1', 'front_chat', true, false, NULL, '<p>4711</p>', '4711', '4711', '2025-03-01 09:03:00Z', '2025-03-02'),
  -- handed on
  ('msg_6', 'cnv_1', 'front_chat', false, false, 'tea_2', '<p>It left.</p>', 'It left', 'It left.', '2025-03-01 09:05:00Z', '2025-03-02'),
  ('msg_7', 'cnv_2', 'front_chat', true, false, NULL, NULL, NULL, NULL, '2025-03-02 09:00:00Z', '2025-03-02');
