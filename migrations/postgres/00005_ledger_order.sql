-- +goose Up
-- Only SQLite's ledger has another order; both schemas have the same versions.
SELECT 1;

-- +goose Down
SELECT 1;
