-- +goose Up
CREATE TABLE IF NOT EXISTS lease (
    name       TEXT    NOT NULL PRIMARY KEY,
    holder     TEXT    NOT NULL, -- random, new each time it is taken
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
