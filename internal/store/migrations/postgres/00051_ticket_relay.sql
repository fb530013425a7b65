-- +goose Up
CREATE TABLE IF NOT EXISTS ticket_relay ( -- what a legacy server gave for a ticket of ours
    hash       BYTEA NOT NULL PRIMARY KEY, -- of our ticket
    realm_id   BYTEA NOT NULL,
    sealed     BYTEA NOT NULL, -- the legacy ticket
    expires_at BIGINT NOT NULL
);
