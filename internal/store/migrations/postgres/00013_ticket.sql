-- +goose Up
CREATE TABLE IF NOT EXISTS ticket (
    hash       BYTEA    NOT NULL PRIMARY KEY, -- SHA-256
    realm_id   BYTEA    NOT NULL,
    account_id BYTEA    NOT NULL,
    version    BIGINT NOT NULL, -- of the account, when the password was checked
    attempts   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    spent_at   BIGINT NOT NULL -- 0: not yet
);
