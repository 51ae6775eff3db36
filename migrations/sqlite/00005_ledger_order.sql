-- +goose Up

-- The ledger is kept in the order of a hash of the conversations' ids, the order
-- in which a Parquet source delivers them: what a chunk adds lies together, at
-- the end of what is there.
CREATE TABLE ledger_by_hash (
    job_id       INTEGER NOT NULL REFERENCES jobs (id),
    hash         INTEGER NOT NULL, -- conversation_hash(conversation); 0 for all of a job that began with Postgres
    conversation BLOB    NOT NULL,
    start        INTEGER NOT NULL, -- the delivered start, in nanoseconds since the Unix epoch, or 0
    entries      BLOB    NOT NULL, -- 16 bytes an event: 8 that name it, 8 of hash of its content
    PRIMARY KEY (job_id, hash, conversation)
) WITHOUT ROWID;
INSERT INTO ledger_by_hash (job_id, hash, conversation, start, entries)
    SELECT job_id, conversation_hash(conversation), conversation, start, entries FROM ledger ORDER BY 1, 2, 3;
DROP TABLE ledger;
ALTER TABLE ledger_by_hash RENAME TO ledger;

-- +goose Down
CREATE TABLE ledger_by_id (
    job_id       INTEGER NOT NULL REFERENCES jobs (id),
    conversation BLOB    NOT NULL,
    start        INTEGER NOT NULL,
    entries      BLOB    NOT NULL,
    PRIMARY KEY (job_id, conversation)
) WITHOUT ROWID;
INSERT INTO ledger_by_id (job_id, conversation, start, entries)
    SELECT job_id, conversation, start, entries FROM ledger ORDER BY 1, 2;
DROP TABLE ledger;
ALTER TABLE ledger_by_id RENAME TO ledger;
