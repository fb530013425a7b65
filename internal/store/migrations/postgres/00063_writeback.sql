-- +goose Up
CREATE TABLE IF NOT EXISTS writeback ( -- what is still to be told to an old system
    id         BYTEA NOT NULL PRIMARY KEY, -- UUIDv7
    realm_id   BYTEA NOT NULL,
    account_id BYTEA NOT NULL,
    sealed     BYTEA NOT NULL, -- the line
    created_at BIGINT NOT NULL,
    tries      BIGINT NOT NULL,
    next_at    BIGINT NOT NULL -- of a try
);
