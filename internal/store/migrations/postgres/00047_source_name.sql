-- +goose Up
CREATE TABLE IF NOT EXISTS source_name ( -- names of accounts kept apart: good in one dialect
    realm_id   BYTEA NOT NULL,
    dialect    TEXT COLLATE "C" NOT NULL,
    name_key   TEXT COLLATE "C" NOT NULL, -- the PRECIS form
    account_id BYTEA NOT NULL,
    PRIMARY KEY (realm_id, dialect, name_key)
);
