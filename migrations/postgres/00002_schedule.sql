-- +goose Up

-- The times at which a job's schedule comes, and what became of each.
CREATE TABLE slots (
    job_id    bigint NOT NULL REFERENCES jobs (id),
    slot      bigint NOT NULL, -- when it comes, in milliseconds since the Unix epoch
    state     text   NOT NULL, -- watched, waiting, running, done, missed, skipped
    epoch     bigint NOT NULL DEFAULT 0,  -- of the lease under which it was run last
    attempts  bigint NOT NULL DEFAULT 0,
    retry_at  bigint NOT NULL DEFAULT 0,  -- waiting: not to be run before
    run_id    text   NOT NULL DEFAULT '', -- of the last attempt
    exit_code bigint NOT NULL DEFAULT -1, -- of the last attempt
    ended_at  bigint NOT NULL DEFAULT 0,  -- when the last attempt ended
    PRIMARY KEY (job_id, slot)
);

-- What is wrong with a job, as far as somebody was told.
CREATE TABLE alerts (
    job_id bigint  NOT NULL REFERENCES jobs (id),
    kind   text    NOT NULL, -- failure, rejects, no_rows
    firing boolean NOT NULL, -- it is wrong, and that was said
    since  bigint  NOT NULL, -- when that changed; of no_rows when rows were seen last
    PRIMARY KEY (job_id, kind)
);

ALTER TABLE runs
    ADD COLUMN source_rows bigint  NOT NULL DEFAULT 0,     -- rows in the source; 0: it cannot tell
    ADD COLUMN sent        text    NOT NULL DEFAULT '{}',  -- JSON: events accepted, by name
    ADD COLUMN part        boolean NOT NULL DEFAULT false; -- it was to deliver a part of the source only

-- +goose Down
ALTER TABLE runs
    DROP COLUMN part,
    DROP COLUMN sent,
    DROP COLUMN source_rows;
DROP TABLE alerts;
DROP TABLE slots;
