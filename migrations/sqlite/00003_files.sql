-- +goose Up

-- The files of a source as a pass had them: those of the last pass that is
-- finished and, while another is under way, also those that it began with.
CREATE TABLE files (
    job_id   INTEGER NOT NULL REFERENCES jobs (id),
    shard    TEXT    NOT NULL,
    pass     INTEGER NOT NULL,
    set_name TEXT    NOT NULL,
    path     TEXT    NOT NULL,
    size     INTEGER NOT NULL, -- in bytes
    version  TEXT    NOT NULL, -- when it was written or, in a bucket, its ETag or generation
    oldest   INTEGER NOT NULL, -- when its messages were sent, from here, in nanoseconds since the Unix epoch
    newest   INTEGER NOT NULL, -- to here; 0: it is not known, or a row could not be read
    PRIMARY KEY (job_id, shard, pass, set_name, path)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE files;
