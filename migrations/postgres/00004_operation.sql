-- +goose Up

-- Customers, and conversations, of whom a job sends nothing, whatever its label.
CREATE TABLE suppressed (
    name     text   NOT NULL, -- of the job
    subject  bytea  NOT NULL, -- SHA-256 of the id
    added_at bigint NOT NULL,
    PRIMARY KEY (name, subject)
);

-- Revisions under which events were sent again, on purpose, with new ids.
CREATE TABLE revisions (
    job_id   bigint NOT NULL REFERENCES jobs (id),
    revision bigint NOT NULL,
    run_id   text   NOT NULL, -- of the first run that sent any
    used_at  bigint NOT NULL,
    PRIMARY KEY (job_id, revision)
);

-- Where all that the store held went; then no job runs on it.
CREATE TABLE moved (
    place    text   NOT NULL, -- the new store, without credentials
    moved_at bigint NOT NULL
);

-- +goose Down
DROP TABLE moved;
DROP TABLE revisions;
DROP TABLE suppressed;
