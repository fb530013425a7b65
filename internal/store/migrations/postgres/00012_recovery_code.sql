-- +goose Up
CREATE TABLE IF NOT EXISTS recovery_code (
    account_id BYTEA    NOT NULL,
    hash       BYTEA    NOT NULL, -- SHA-256
    realm_id   BYTEA    NOT NULL,
    created_at BIGINT NOT NULL,
    spent_at   BIGINT NOT NULL, -- 0: not yet
    PRIMARY KEY (account_id, hash)
);
