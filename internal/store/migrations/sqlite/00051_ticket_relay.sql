-- +goose Up
CREATE TABLE IF NOT EXISTS ticket_relay ( -- what a legacy server gave for a ticket of ours
    hash       BLOB NOT NULL PRIMARY KEY, -- of our ticket
    realm_id   BLOB NOT NULL,
    sealed     BLOB NOT NULL, -- the legacy ticket
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
