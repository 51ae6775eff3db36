-- As Fivetran makes them, without the columns that have nothing to do with
-- transcripts.
CREATE TABLE chat (id text PRIMARY KEY, visitor_id text, comment text, count_agent integer, count_visitor integer, count_total integer,
  dropped boolean, duration integer, missed boolean, _fivetran_synced timestamptz);
CREATE TABLE chat_history (chat_id text, index integer, timestamps timestamptz, type text, channel text, msg text, msg_id text, name text,
  sender_type text, agent_id bigint, department_id bigint, prev_department_id bigint, _fivetran_synced timestamptz, PRIMARY KEY (chat_id, index));
CREATE TABLE visitor (id text PRIMARY KEY, email text, name text, phone text, notes text, _fivetran_synced timestamptz);

INSERT INTO visitor VALUES ('v-1', 'carla@example.test', 'Carla', NULL, NULL, '2025-04-01'), ('v-2', NULL, 'Visitor 2', NULL, NULL, '2025-04-01');
INSERT INTO chat VALUES ('2503.A', 'v-1', NULL, 2, 2, 4, false, 600, false, '2025-04-01'), ('2503.B', 'v-2', NULL, 0, 1, 1, true, 60, true, '2025-04-01');
INSERT INTO chat_history VALUES
  ('2503.A', 0, '2025-03-01 09:00:00Z', 'chat.memberjoin', NULL, NULL, NULL, 'Carla', 'Visitor', NULL, NULL, NULL, '2025-04-01'),
  ('2503.A', 1, '2025-03-01 09:00:01Z', 'chat.msg', '#a', 'Hello! How can we help?', 'm1', 'Greeter', 'Trigger', NULL, NULL, NULL, '2025-04-01'),
  ('2503.A', 2, '2025-03-01 09:00:20Z', 'chat.msg', '#a', 'Where is my order?', 'm2', 'Carla', 'Visitor', NULL, NULL, NULL, '2025-04-01'),
  ('2503.A', 3, '2025-03-01 09:01:00Z', 'chat.memberjoin', NULL, NULL, NULL, 'Ana Silva', 'Agent', 501, NULL, NULL, '2025-04-01'),
  ('2503.A', 4, '2025-03-01 09:01:30Z', 'chat.msg', '#a', 'One moment.', 'm3', 'Ana Silva', 'Agent', 501, NULL, NULL, '2025-04-01'),
  -- a transfer to another department, whose agent joins
  ('2503.A', 5, '2025-03-01 09:02:00Z', 'chat.transfer', NULL, NULL, NULL, NULL, 'System', NULL, 12, 11, '2025-04-01'),
  ('2503.A', 6, '2025-03-01 09:02:10Z', 'chat.memberjoin', NULL, NULL, NULL, 'Ben Okafor', 'Agent', 502, NULL, NULL, '2025-04-01'),
  ('2503.A', 7, '2025-03-01 09:02:11Z', 'chat.memberleave', NULL, NULL, NULL, 'Ana Silva', 'Agent', 501, NULL, NULL, '2025-04-01'),
  -- a file, and a message of the same second after it
  ('2503.A', 8, '2025-03-01 09:03:00Z', 'chat.file.upload', '#a', NULL, NULL, 'Carla', 'Visitor', NULL, NULL, NULL, '2025-04-01'),
  ('2503.A', 9, '2025-03-01 09:03:00Z', 'chat.msg', '#a', 'here it is', 'm4', 'Carla', 'Visitor', NULL, NULL, NULL, '2025-04-01'),
  ('2503.A', 10, '2025-03-01 09:05:00Z', 'chat.msg', '#a', 'It left this morning.', 'm5', 'Ben Okafor', 'Agent', 502, NULL, NULL, '2025-04-01'),
  ('2503.A', 11, '2025-03-01 09:06:00Z', 'chat.rating', NULL, NULL, NULL, 'Carla', 'Visitor', NULL, NULL, NULL, '2025-04-01'),
  ('2503.A', 12, '2025-03-01 09:10:00Z', 'chat.memberleave', NULL, NULL, NULL, 'Carla', 'Visitor', NULL, NULL, NULL, '2025-04-01'),
  -- missed
  ('2503.B', 0, '2025-03-02 09:00:00Z', 'chat.msg', '#b', 'Anybody there?', 'm1', 'Visitor 2', 'Visitor', NULL, NULL, NULL, '2025-04-01'),
  ('2503.B', 1, '2025-03-02 09:01:00Z', 'chat.memberleave', NULL, NULL, NULL, 'Visitor 2', 'Visitor', NULL, NULL, NULL, '2025-04-01');
