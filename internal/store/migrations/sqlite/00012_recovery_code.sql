-- +goose Up
CREATE TABLE IF NOT EXISTS recovery_code (
    account_id BLOB    NOT NULL,
    hash       BLOB    NOT NULL, -- SHA-256
    realm_id   BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    spent_at   INTEGER NOT NULL, -- 0: not yet
    PRIMARY KEY (account_id, hash)
) STRICT, WITHOUT ROWID;
