-- +goose Up

-- The files of a source as a pass had them: those of the last pass that is
-- finished and, while another is under way, also those that it began with.
CREATE TABLE files (
    job_id   bigint NOT NULL REFERENCES jobs (id),
    shard    text   NOT NULL,
    pass     bigint NOT NULL,
    set_name text   NOT NULL,
    path     text   NOT NULL,
    size     bigint NOT NULL, -- in bytes
    version  text   NOT NULL, -- when it was written or, in a bucket, its ETag or generation
    oldest   bigint NOT NULL, -- when its messages were sent, from here, in nanoseconds since the Unix epoch
    newest   bigint NOT NULL, -- to here; 0: it is not known, or a row could not be read
    PRIMARY KEY (job_id, shard, pass, set_name, path)
);

-- +goose Down
DROP TABLE files;
