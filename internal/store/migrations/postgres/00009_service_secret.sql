-- +goose Up
CREATE TABLE IF NOT EXISTS service_secret (
    hash       BYTEA    NOT NULL PRIMARY KEY, -- SHA-256
    realm_id   BYTEA    NOT NULL,
    account_id BYTEA    NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL -- 0: never
);
