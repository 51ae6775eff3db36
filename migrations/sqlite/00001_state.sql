-- +goose Up

-- A job into one Segment source (its label). All other state belongs to one.
CREATE TABLE jobs (
    id              INTEGER PRIMARY KEY,
    name            TEXT    NOT NULL,
    label           TEXT    NOT NULL,
    settings        TEXT    NOT NULL, -- JSON: class of setting -> path -> value
    key_fingerprint TEXT    NOT NULL DEFAULT '',
    halted          TEXT    NOT NULL DEFAULT '', -- why runs stop at once, or empty
    created_at      INTEGER NOT NULL, -- here and below: milliseconds since the Unix epoch
    UNIQUE (name, label)
);

-- Who may write the state of a job's shard. The epoch grows with each owner.
CREATE TABLE leases (
    job_id     INTEGER NOT NULL REFERENCES jobs (id),
    shard      TEXT    NOT NULL,
    epoch      INTEGER NOT NULL,
    owner      TEXT    NOT NULL,
    host       TEXT    NOT NULL,
    pid        INTEGER NOT NULL,
    taken_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (job_id, shard)
);

-- What has been delivered of the current pass, and where to read next.
CREATE TABLE checkpoints (
    job_id      INTEGER NOT NULL REFERENCES jobs (id),
    shard       TEXT    NOT NULL,
    format      INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    pass        INTEGER NOT NULL,
    lower       INTEGER NOT NULL, -- the pass looks at rows from here, in nanoseconds since the Unix epoch
    upper       INTEGER NOT NULL, -- to here, exclusive
    source      TEXT    NOT NULL, -- names the content of the source when the pass began
    position    BLOB    NOT NULL,
    done        INTEGER NOT NULL, -- 1: the pass is finished
    tally       TEXT    NOT NULL, -- JSON: the pass's rows and events by outcome
    destination TEXT    NOT NULL, -- JSON: what the destination needs to go on
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (job_id, shard)
);

-- What has been delivered of each conversation.
CREATE TABLE ledger (
    job_id       INTEGER NOT NULL REFERENCES jobs (id),
    conversation BLOB    NOT NULL,
    start        INTEGER NOT NULL, -- the delivered start, in nanoseconds since the Unix epoch, or 0
    entries      BLOB    NOT NULL, -- 16 bytes an event: 8 that name it, 8 of hash of its content
    PRIMARY KEY (job_id, conversation)
) WITHOUT ROWID;

-- Conversations to look at again at a given time, changed or not.
CREATE TABLE due (
    job_id       INTEGER NOT NULL REFERENCES jobs (id),
    conversation BLOB    NOT NULL,
    due_at       INTEGER NOT NULL, -- in nanoseconds since the Unix epoch
    PRIMARY KEY (job_id, conversation)
) WITHOUT ROWID;

-- Rows and events that cannot be delivered.
CREATE TABLE rejects (
    id           INTEGER PRIMARY KEY,
    job_id       INTEGER NOT NULL REFERENCES jobs (id),
    locator      TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    stage        TEXT    NOT NULL,
    set_name     TEXT    NOT NULL,
    conversation BLOB    NOT NULL,
    message      BLOB    NOT NULL,
    detail       TEXT    NOT NULL,
    payload      TEXT    NOT NULL,
    state        TEXT    NOT NULL, -- open, accepted, dropped, closed
    first_run    TEXT    NOT NULL,
    last_run     TEXT    NOT NULL,
    first_seen   INTEGER NOT NULL,
    last_seen    INTEGER NOT NULL,
    UNIQUE (job_id, locator, reason)
);
CREATE INDEX rejects_conversation ON rejects (job_id, conversation);

-- Executions of a job.
CREATE TABLE runs (
    id         TEXT    NOT NULL PRIMARY KEY,
    job_id     INTEGER NOT NULL REFERENCES jobs (id),
    shard      TEXT    NOT NULL,
    epoch      INTEGER NOT NULL,
    host       TEXT    NOT NULL,
    pid        INTEGER NOT NULL,
    version    TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL DEFAULT 0, -- 0: it has not, or was killed
    exit_code  INTEGER NOT NULL DEFAULT -1,
    error      TEXT    NOT NULL DEFAULT '',
    tally      TEXT    NOT NULL DEFAULT '{}' -- JSON: the run's rows and events by outcome
);
CREATE INDEX runs_job ON runs (job_id, started_at);

-- +goose Down
DROP TABLE runs;
DROP TABLE rejects;
DROP TABLE due;
DROP TABLE ledger;
DROP TABLE checkpoints;
DROP TABLE leases;
DROP TABLE jobs;
