-- As Chatwoot's db/schema.rb makes them, without the columns and indexes that
-- have nothing to do with transcripts.
CREATE TABLE conversations (
  id serial PRIMARY KEY, account_id integer NOT NULL, inbox_id integer NOT NULL, status integer DEFAULT 0 NOT NULL,
  assignee_id integer, contact_id bigint, display_id integer NOT NULL, uuid uuid DEFAULT gen_random_uuid() NOT NULL,
  created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE TABLE messages (
  id serial PRIMARY KEY, content text, account_id integer NOT NULL, inbox_id integer NOT NULL, conversation_id integer NOT NULL,
  message_type integer NOT NULL, created_at timestamp NOT NULL, updated_at timestamp NOT NULL, private boolean DEFAULT false NOT NULL,
  status integer DEFAULT 0, content_type integer DEFAULT 0 NOT NULL, content_attributes json DEFAULT '{}', sender_type varchar, sender_id bigint);
CREATE INDEX index_messages_on_conversation_id ON messages (conversation_id);
CREATE TABLE contacts (id serial PRIMARY KEY, name varchar DEFAULT '', email varchar, identifier varchar, account_id integer NOT NULL);
CREATE TABLE users (id serial PRIMARY KEY, uid varchar DEFAULT '' NOT NULL, name varchar NOT NULL, display_name varchar, email varchar);
CREATE TABLE agent_bots (id bigserial PRIMARY KEY, name varchar, account_id bigint);
CREATE TABLE reporting_events (
  id bigserial PRIMARY KEY, name varchar, value double precision, account_id integer, inbox_id integer, user_id integer,
  conversation_id integer, event_start_time timestamp, event_end_time timestamp, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE INDEX reporting_events_on_conversation_id ON reporting_events (conversation_id);

INSERT INTO users VALUES (3, 'ana@acme.test', 'Ana Silva', 'Ana', 'ana@acme.test'), (4, 'ben@acme.test', 'Ben Okafor', NULL, 'ben@acme.test');
INSERT INTO agent_bots VALUES (3, 'Faq bot', 1);
INSERT INTO contacts VALUES (3, 'Carla', 'carla@example.test', 'user-42', 1), (8, 'somebody', NULL, NULL, 1);
INSERT INTO conversations (id, account_id, inbox_id, status, assignee_id, contact_id, display_id, created_at, updated_at) VALUES
  (101, 1, 3, 1, 4, 3, 1, '2025-03-01 09:00', '2025-03-01 10:00'),
  (102, 1, 3, 0, NULL, 8, 2, '2025-03-02 09:00', '2025-03-02 09:05');

INSERT INTO messages (id, content, account_id, inbox_id, conversation_id, message_type, created_at, updated_at, private, content_attributes, sender_type, sender_id) VALUES
  (1, 'Hello, where is my order?', 1, 3, 101, 0, '2025-03-01 09:00:00', '2025-03-01 09:00:00', false, '{}', 'Contact', 3),
  -- a template: the greeting
  (2, 'We reply within minutes.', 1, 3, 101, 3, '2025-03-01 09:00:01', '2025-03-01 09:00:01', false, '{}', NULL, NULL),
  -- a bot and an agent of one id are two
  (3, 'What is its number?', 1, 3, 101, 1, '2025-03-01 09:00:05', '2025-03-01 09:00:05', false, '{}', 'AgentBot', 3),
  (4, '4711', 1, 3, 101, 0, '2025-03-01 09:01:00', '2025-03-01 09:01:00', false, '{}', 'Contact', 3),
  (5, 'Assigned to Ana Silva by Ben Okafor', 1, 3, 101, 2, '2025-03-01 09:02:00', '2025-03-01 09:02:00', false, '{}', NULL, NULL),
  -- a private note
  (6, 'VIP, be nice', 1, 3, 101, 1, '2025-03-01 09:02:10', '2025-03-01 09:02:10', true, '{}', 'User', 3),
  (7, 'It left this morning.', 1, 3, 101, 1, '2025-03-01 09:03:00', '2025-03-01 09:10:00', false, '{}', 'User', 3),
  -- deleted: JSON text in a column of type json
  (8, 'This message was deleted', 1, 3, 101, 1, '2025-03-01 09:03:30', '2025-03-01 09:04:00', false, '"{\"deleted\":true}"', 'User', 3),
  -- reopened after it was resolved
  (9, 'It is broken!', 1, 3, 101, 0, '2025-03-01 09:45:00', '2025-03-01 09:45:00', false, '{}', 'Contact', 3),
  (10, 'A new one is on its way.', 1, 3, 101, 1, '2025-03-01 09:50:00', '2025-03-01 09:50:00', false, '{}', 'User', 4),
  -- a picture, no text; a campaign's answer by nobody; Captain
  (11, NULL, 1, 3, 102, 0, '2025-03-02 09:00:00', '2025-03-02 09:00:00', false, '{}', 'Contact', 8),
  (12, 'Thanks for writing!', 1, 3, 102, 1, '2025-03-02 09:00:02', '2025-03-02 09:00:02', false, NULL, NULL, NULL),
  (13, 'Is it about a refund?', 1, 3, 102, 1, '2025-03-02 09:00:04', '2025-03-02 09:00:04', false, '{}', 'Captain::Assistant', 3);

INSERT INTO reporting_events (id, name, value, account_id, inbox_id, user_id, conversation_id, event_start_time, event_end_time, created_at, updated_at) VALUES
  (1, 'first_response', 180, 1, 3, 3, 101, '2025-03-01 09:00:00', '2025-03-01 09:03:00', '2025-03-01 09:03:00', '2025-03-01 09:03:00'),
  (2, 'conversation_resolved', 1800, 1, 3, 3, 101, '2025-03-01 09:00:00', '2025-03-01 09:30:00', '2025-03-01 09:30:00', '2025-03-01 09:30:00'),
  (3, 'conversation_resolved', 3600, 1, 3, 4, 101, '2025-03-01 09:00:00', '2025-03-01 10:00:00', '2025-03-01 10:00:00', '2025-03-01 10:00:00'),
  (4, 'conversation_resolved', 300, 1, 3, NULL, 102, '2025-03-02 09:00:00', '2025-03-02 09:05:00', '2025-03-02 09:05:00', '2025-03-02 09:05:00');
