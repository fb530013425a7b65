-- +goose Up
CREATE TABLE IF NOT EXISTS tls_storage (
    key         TEXT    NOT NULL PRIMARY KEY,
    value       BLOB    NOT NULL, -- sealed
    modified_at INTEGER NOT NULL
) STRICT;
