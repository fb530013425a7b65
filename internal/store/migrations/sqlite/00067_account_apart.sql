-- +goose Up
CREATE TABLE IF NOT EXISTS account_apart ( -- where the own names of an account that is apart are good, if it has others by a merge
    account_id BLOB NOT NULL PRIMARY KEY,
    realm_id   BLOB NOT NULL,
    dialect    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
