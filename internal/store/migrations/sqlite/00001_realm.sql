-- +goose Up
CREATE TABLE IF NOT EXISTS realm (
    id          BLOB    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    next_number INTEGER NOT NULL, -- of the accounts' counter
    refresh_key BLOB    NOT NULL, -- sealed
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
