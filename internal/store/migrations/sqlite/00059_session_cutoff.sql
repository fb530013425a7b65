-- +goose Up
CREATE TABLE IF NOT EXISTS session_cutoff ( -- no token that others issued before is good
    account_id BLOB NOT NULL PRIMARY KEY, -- or the realm, for all of its accounts
    realm_id   BLOB NOT NULL,
    at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
