-- +goose Up
CREATE TABLE IF NOT EXISTS foreign_token ( -- tokens that others issued and that are good here
    hash       BLOB NOT NULL PRIMARY KEY, -- SHA-256
    realm_id   BLOB NOT NULL,
    account_id BLOB NOT NULL,
    dialect    TEXT NOT NULL,
    kind       TEXT NOT NULL, -- bearer, session, or refresh
    session_id BLOB, -- that it belongs to here
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    spent_at   INTEGER NOT NULL -- 0: not yet
) STRICT, WITHOUT ROWID;
