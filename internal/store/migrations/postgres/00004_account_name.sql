-- +goose Up
CREATE TABLE IF NOT EXISTS account_name ( -- usernames and e-mail addresses, one namespace
    realm_id   BYTEA NOT NULL,
    name_key   TEXT COLLATE "C" NOT NULL, -- the PRECIS form
    account_id BYTEA NOT NULL,
    PRIMARY KEY (realm_id, name_key)
);
