-- As Fivetran makes them, without the columns that have nothing to do with
-- transcripts.
CREATE TABLE conversation_history (
  id text, created_at timestamptz, updated_at timestamptz, state text, open boolean, assignee_id text, assignee_type text,
  source_author_id text, source_author_type text, source_body text, source_delivered_as text, source_subject text, source_type text,
  _fivetran_active boolean, _fivetran_start timestamptz, _fivetran_end timestamptz, _fivetran_synced timestamptz,
  PRIMARY KEY (id, updated_at));
CREATE TABLE conversation_part_history (
  id text, conversation_id text, conversation_updated_at timestamptz, author_id text, author_type text, body text, part_type text,
  assigned_to_id text, assigned_to_type text, created_at timestamptz, updated_at timestamptz,
  _fivetran_active boolean, _fivetran_synced timestamptz);
CREATE INDEX ON conversation_part_history (conversation_id);
CREATE TABLE conversation_contact_history (
  conversation_id text, contact_id text, conversation_updated_at timestamptz, _fivetran_active boolean, _fivetran_synced timestamptz);
CREATE TABLE contact_history (
  id text, updated_at timestamptz, email text, name text, role text, external_id text, _fivetran_active boolean, _fivetran_synced timestamptz);
CREATE TABLE admin (id text PRIMARY KEY, name text, job_title text, _fivetran_synced timestamptz);

INSERT INTO admin VALUES ('501', 'Ana Silva', 'Support', '2025-04-01'), ('502', 'Ben Okafor', 'Support', '2025-04-01');
INSERT INTO contact_history VALUES
  ('c-1', '2025-03-01', 'carla@example.test', 'Carla', 'user', 'user-41', false, '2025-04-01'),
  ('c-1', '2025-03-02', 'carla@example.test', 'Carla', 'user', 'user-42', true, '2025-04-01'),
  ('c-2', '2025-03-02', NULL, NULL, 'lead', NULL, true, '2025-04-01');
INSERT INTO conversation_contact_history VALUES
  ('7001', 'c-1', '2025-03-02', true, '2025-04-01'), ('7002', 'c-2', '2025-03-02', true, '2025-04-01'), ('7003', 'c-1', '2025-03-03', true, '2025-04-01');

INSERT INTO conversation_history VALUES
  -- how it was before; then how it is
  ('7001', '2025-03-01 09:00Z', '2025-03-01 09:00Z', 'open', true, NULL, NULL, 'c-1', 'user', '<p>Where is my order?</p>', 'customer_initiated', '', 'conversation', false, '2025-03-01 09:00Z', '2025-03-01 10:00Z', '2025-03-01 12:00Z'),
  ('7001', '2025-03-01 09:00Z', '2025-03-01 10:00Z', 'closed', false, '502', 'admin', 'c-1', 'user', '<p>Where is my order?</p>', 'customer_initiated', '', 'conversation', true, '2025-03-01 10:00Z', '9999-12-31', '2025-03-01 12:00Z'),
  -- a series, sent in an admin's name; the customer answers
  ('7002', '2025-03-02 09:00Z', '2025-03-02 09:20Z', 'open', true, '77', 'team', '501', 'admin', '<p>Need a hand?</p>', 'automated', '', 'conversation', true, '2025-03-02 09:20Z', '9999-12-31', '2025-03-02 12:00Z'),
  -- an admin wrote first, and nobody answered
  ('7003', '2025-03-03 09:00Z', '2025-03-03 09:00Z', 'open', true, '501', 'admin', '501', 'admin', '<p>Did it arrive?</p>', 'admin_initiated', '', 'conversation', true, '2025-03-03 09:00Z', '9999-12-31', '2025-03-03 12:00Z');

INSERT INTO conversation_part_history (id, conversation_id, author_id, author_type, body, part_type, assigned_to_id, assigned_to_type, created_at, updated_at, _fivetran_active, _fivetran_synced) VALUES
  ('1', '7001', 'b-9', 'bot', '<p>You can expect a reply soon.</p>', 'comment', NULL, NULL, '2025-03-01 09:00:02Z', '2025-03-01 09:00:02Z', true, '2025-03-01 12:00Z'),
  ('2', '7001', '502', 'admin', NULL, 'assignment', '501', 'admin', '2025-03-01 09:01Z', '2025-03-01 09:01Z', true, '2025-03-01 12:00Z'),
  ('3', '7001', '501', 'admin', '<p>a note for us</p>', 'note', NULL, NULL, '2025-03-01 09:02Z', '2025-03-01 09:02Z', true, '2025-03-01 12:00Z'),
  ('4', '7001', '501', 'admin', '<p>Which <b>one</b>?</p>', 'comment', NULL, NULL, '2025-03-01 09:03Z', '2025-03-01 09:03Z', true, '2025-03-01 12:00Z'),
  ('5', '7001', 'c-1', 'user', '<p>4711</p>', 'comment', NULL, NULL, '2025-03-01 09:04Z', '2025-03-01 09:04Z', false, '2025-03-01 11:00Z'),
  ('5', '7001', 'c-1', 'user', '<p>4711, sorry: 4712</p>', 'comment', NULL, NULL, '2025-03-01 09:04Z', '2025-03-01 09:05Z', true, '2025-03-01 12:00Z'),
  -- an assignment with a text is a reply
  ('6', '7001', '501', 'admin', '<p>Ben knows more.</p>', 'assignment', '502', 'admin', '2025-03-01 09:06Z', '2025-03-01 09:06Z', true, '2025-03-01 12:00Z'),
  ('7', '7001', '502', 'admin', '<p>It is on its way.</p>', 'close', NULL, NULL, '2025-03-01 09:10Z', '2025-03-01 09:10Z', true, '2025-03-01 12:00Z'),
  -- reopened by what the customer writes, and closed again
  ('8', '7001', 'c-1', 'user', '<p>It is broken!</p>', 'open', NULL, NULL, '2025-03-01 09:40Z', '2025-03-01 09:40Z', true, '2025-03-01 12:00Z'),
  ('9', '7001', '502', 'admin', NULL, 'close', NULL, NULL, '2025-03-01 10:00Z', '2025-03-01 10:00Z', true, '2025-03-01 12:00Z'),
  ('10', '7002', 'c-2', 'lead', '<p>Yes!</p>', 'comment', NULL, NULL, '2025-03-02 09:20Z', '2025-03-02 09:20Z', true, '2025-03-02 12:00Z'),
  ('11', '7002', '77', 'team', NULL, 'default_assignment', '77', 'team', '2025-03-02 09:20:01Z', '2025-03-02 09:20:01Z', true, '2025-03-02 12:00Z'),
  ('12', '7002', 'c-2', 'lead', NULL, 'conversation_rating_changed', NULL, NULL, '2025-03-02 09:30Z', '2025-03-02 09:30Z', true, '2025-03-02 12:00Z');
