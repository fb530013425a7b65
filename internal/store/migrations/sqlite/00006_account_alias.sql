-- +goose Up
CREATE TABLE IF NOT EXISTS account_alias (
    realm_id   BLOB NOT NULL,
    dialect    TEXT NOT NULL,
    subject    TEXT NOT NULL,
    account_id BLOB NOT NULL,
    PRIMARY KEY (realm_id, dialect, subject)
) STRICT, WITHOUT ROWID;
