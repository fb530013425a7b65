-- +goose Up
CREATE TABLE IF NOT EXISTS source_name ( -- names of accounts kept apart: good in one dialect
    realm_id   BLOB NOT NULL,
    dialect    TEXT NOT NULL,
    name_key   TEXT NOT NULL, -- the PRECIS form
    account_id BLOB NOT NULL,
    PRIMARY KEY (realm_id, dialect, name_key)
) STRICT, WITHOUT ROWID;
