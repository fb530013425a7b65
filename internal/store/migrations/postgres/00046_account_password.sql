-- +goose Up
CREATE TABLE IF NOT EXISTS account_password ( -- of a takeover: passwords that are good in the dialect of their source
    account_id BYTEA NOT NULL,
    dialect    TEXT COLLATE "C" NOT NULL, -- the source
    realm_id   BYTEA NOT NULL,
    hash       TEXT COLLATE "C" NOT NULL, -- a PHC string; empty: pending, the legacy server knows it
    everywhere BIGINT NOT NULL, -- 1: joined, good in the other dialects too
    created_at BIGINT NOT NULL,
    proven_at  BIGINT NOT NULL, -- 0: nobody has signed in with it here
    PRIMARY KEY (account_id, dialect)
);
