-- +goose Up
CREATE TABLE IF NOT EXISTS tls_storage (
    key         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value       BYTEA    NOT NULL, -- sealed
    modified_at BIGINT NOT NULL
);
