-- +goose Up
CREATE TABLE IF NOT EXISTS account_apart ( -- where the own names of an account that is apart are good, if it has others by a merge
    account_id BYTEA NOT NULL PRIMARY KEY,
    realm_id   BYTEA NOT NULL,
    dialect    TEXT NOT NULL
);
