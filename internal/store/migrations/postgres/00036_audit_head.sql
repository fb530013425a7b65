-- +goose Up
CREATE TABLE IF NOT EXISTS audit_head (
    realm_id BYTEA    NOT NULL PRIMARY KEY,
    seq      BIGINT NOT NULL, -- of the last entry of the realm's log
    hash     BYTEA    NOT NULL, -- its hash
    seal     BYTEA    NOT NULL  -- of both, by a key that is not in the database
);
