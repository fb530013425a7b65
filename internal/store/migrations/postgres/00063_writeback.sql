-- +goose Up
CREATE TABLE IF NOT EXISTS writeback ( -- what is still to be told to an old system, also of accounts that are gone
    realm_id   BYTEA NOT NULL,
    account_id BYTEA NOT NULL,
    seq        BIGINT NOT NULL, -- of the account's: they are told in this order
    id         BYTEA NOT NULL, -- UUIDv7, by which it is known if it is told twice
    sealed     BYTEA NOT NULL, -- the line
    created_at BIGINT NOT NULL,
    tries      BIGINT NOT NULL,
    next_at    BIGINT NOT NULL, -- of a try
    PRIMARY KEY (realm_id, account_id, seq)
);
