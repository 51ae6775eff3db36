-- +goose Up

-- The times at which a job's schedule comes, and what became of each.
CREATE TABLE slots (
    job_id    INTEGER NOT NULL REFERENCES jobs (id),
    slot      INTEGER NOT NULL, -- when it comes, in milliseconds since the Unix epoch
    state     TEXT    NOT NULL, -- watched, waiting, running, done, missed, skipped
    epoch     INTEGER NOT NULL DEFAULT 0,  -- of the lease under which it was run last
    attempts  INTEGER NOT NULL DEFAULT 0,
    retry_at  INTEGER NOT NULL DEFAULT 0,  -- waiting: not to be run before
    run_id    TEXT    NOT NULL DEFAULT '', -- of the last attempt
    exit_code INTEGER NOT NULL DEFAULT -1, -- of the last attempt
    ended_at  INTEGER NOT NULL DEFAULT 0,  -- when the last attempt ended
    PRIMARY KEY (job_id, slot)
);

-- What is wrong with a job, as far as somebody was told.
CREATE TABLE alerts (
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    kind   TEXT    NOT NULL, -- failure, rejects, no_rows
    firing INTEGER NOT NULL, -- 1: it is wrong, and that was said
    since  INTEGER NOT NULL, -- when that changed; of no_rows when rows were seen last
    PRIMARY KEY (job_id, kind)
);

ALTER TABLE runs ADD COLUMN source_rows INTEGER NOT NULL DEFAULT 0;    -- rows in the source; 0: it cannot tell
ALTER TABLE runs ADD COLUMN sent        TEXT    NOT NULL DEFAULT '{}'; -- JSON: events accepted, by name
ALTER TABLE runs ADD COLUMN part        INTEGER NOT NULL DEFAULT 0;    -- 1: it was to deliver a part of the source only

-- +goose Down
ALTER TABLE runs DROP COLUMN part;
ALTER TABLE runs DROP COLUMN sent;
ALTER TABLE runs DROP COLUMN source_rows;
DROP TABLE alerts;
DROP TABLE slots;
