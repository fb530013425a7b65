-- +goose Up
CREATE TABLE IF NOT EXISTS account_role (
    account_id BLOB    NOT NULL,
    role       TEXT    NOT NULL,
    realm_id   BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, role)
) STRICT, WITHOUT ROWID;
