-- +goose Up
CREATE TABLE IF NOT EXISTS account_password ( -- of a takeover: passwords that are good in the dialect of their source
    account_id BLOB NOT NULL,
    dialect    TEXT NOT NULL, -- the source
    realm_id   BLOB NOT NULL,
    hash       TEXT NOT NULL, -- a PHC string; empty: pending, the legacy server knows it
    everywhere INTEGER NOT NULL, -- 1: joined, good in the other dialects too
    created_at INTEGER NOT NULL,
    proven_at  INTEGER NOT NULL, -- 0: nobody has signed in with it here
    PRIMARY KEY (account_id, dialect)
) STRICT, WITHOUT ROWID;
