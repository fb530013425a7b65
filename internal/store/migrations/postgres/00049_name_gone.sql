-- +goose Up
CREATE TABLE IF NOT EXISTS name_gone ( -- names of deleted accounts, which no legacy server is asked for
    realm_id  BYTEA NOT NULL,
    name_hash BYTEA NOT NULL, -- SHA-256 of the key
    gone_at   BIGINT NOT NULL,
    PRIMARY KEY (realm_id, name_hash)
);
