-- +goose Up
CREATE TABLE IF NOT EXISTS name_gone ( -- names of deleted accounts, which no legacy server is asked for
    realm_id  BLOB NOT NULL,
    name_hash BLOB NOT NULL, -- SHA-256 of the key
    gone_at   INTEGER NOT NULL,
    PRIMARY KEY (realm_id, name_hash)
) STRICT, WITHOUT ROWID;
