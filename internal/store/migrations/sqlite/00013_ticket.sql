-- +goose Up
CREATE TABLE IF NOT EXISTS ticket (
    hash       BLOB    NOT NULL PRIMARY KEY, -- SHA-256
    realm_id   BLOB    NOT NULL,
    account_id BLOB    NOT NULL,
    version    INTEGER NOT NULL, -- of the account, when the password was checked
    attempts   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    spent_at   INTEGER NOT NULL -- 0: not yet
) STRICT, WITHOUT ROWID;
