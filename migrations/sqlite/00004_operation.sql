-- +goose Up

-- Customers, and conversations, of whom a job sends nothing, whatever its label.
CREATE TABLE suppressed (
    name     TEXT    NOT NULL, -- of the job
    subject  BLOB    NOT NULL, -- SHA-256 of the id
    added_at INTEGER NOT NULL,
    PRIMARY KEY (name, subject)
) WITHOUT ROWID;

-- Revisions under which events were sent again, on purpose, with new ids.
CREATE TABLE revisions (
    job_id   INTEGER NOT NULL REFERENCES jobs (id),
    revision INTEGER NOT NULL,
    run_id   TEXT    NOT NULL, -- of the first run that sent any
    used_at  INTEGER NOT NULL,
    PRIMARY KEY (job_id, revision)
);

-- Where all that the store held went; then no job runs on it.
CREATE TABLE moved (
    place    TEXT    NOT NULL, -- the new store, without credentials
    moved_at INTEGER NOT NULL
);

-- +goose Down
DROP TABLE moved;
DROP TABLE revisions;
DROP TABLE suppressed;
