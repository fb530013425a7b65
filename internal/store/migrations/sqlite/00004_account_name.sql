-- +goose Up
CREATE TABLE IF NOT EXISTS account_name ( -- usernames and e-mail addresses, one namespace
    realm_id   BLOB NOT NULL,
    name_key   TEXT NOT NULL, -- the PRECIS form
    account_id BLOB NOT NULL,
    PRIMARY KEY (realm_id, name_key)
) STRICT, WITHOUT ROWID;
