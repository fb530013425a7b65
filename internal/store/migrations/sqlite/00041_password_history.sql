-- +goose Up
CREATE TABLE IF NOT EXISTS password_history (
    account_id  BLOB    NOT NULL,
    seq         INTEGER NOT NULL, -- 1, 2, 3 … of the account
    realm_id    BLOB    NOT NULL,
    hash        TEXT    NOT NULL, -- a PHC string
    replaced_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, seq)
) STRICT, WITHOUT ROWID;
