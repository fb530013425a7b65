-- +goose Up
CREATE TABLE IF NOT EXISTS realm (
    id          BYTEA    NOT NULL PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL UNIQUE,
    next_number BIGINT NOT NULL, -- of the accounts' counter
    refresh_key BYTEA    NOT NULL, -- sealed
    created_at  BIGINT NOT NULL
);
