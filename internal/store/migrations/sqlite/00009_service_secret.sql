-- +goose Up
CREATE TABLE IF NOT EXISTS service_secret (
    hash       BLOB    NOT NULL PRIMARY KEY, -- SHA-256
    realm_id   BLOB    NOT NULL,
    account_id BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL -- 0: never
) STRICT, WITHOUT ROWID;
